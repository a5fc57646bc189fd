"""Chaos: kills, damage, bad inputs, surroundings and crowds, for so many minutes; or one case by its seed.

    python -m tests.chaos [MINUTES [GROUP [SEED]]]

Counts add up in tests/chaos/counts.json. Cases that did not hold stay in $CHAOS_WORK, else in a temporary folder.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.around import try_around
from tests.chaos.crowd import try_crowd
from tests.chaos.damage import try_damage
from tests.chaos.inputs import try_input
from tests.chaos.kills import try_kills
from tests.chaos.process import preload
from tests.support import REPO
from tests.train.tiny import install

COUNTS = Path(__file__).with_name("counts.json")
GROUPS = {"kills": try_kills, "damage": try_damage, "inputs": try_input, "around": try_around, "crowd": try_crowd}


def set_up(work: Path):
    """The plug-in with the hook, importable in every process; nothing of the user's own environment."""
    site = work / "site"
    if not site.exists():
        install(site)
        with (site / "tiny_plugin.py").open("a") as plugin:
            plugin.write("\nfrom tests.chaos.hook import arm\n\narm()\n")
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "SLURM_", "HARNESS_"))]:
        del os.environ[name]
    path = os.pathsep.join([str(site), str(REPO)])
    os.environ |= {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HARNESS_CACHE": str(work / "cache")}
    sys.path.insert(0, str(site))
    preload()


def counted() -> dict[str, Any]:
    """By group what was tried and how often, and its next seed; each fault with its seed."""
    fresh: dict[str, Any] = {"faults": [], "next": {}}
    return json.loads(COUNTS.read_text()) if COUNTS.exists() else fresh


def run_case(group: str, seed: int, work: Path) -> int:
    """Try a case, count it, and give the number of its faults."""
    root = work / f"{group}-{seed}"
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    tried, faults = GROUPS[group](seed, root)
    if not faults:
        shutil.rmtree(root)
    print(f"{group}:{seed}", ", ".join(dict.fromkeys(tried)), *faults, sep="\n  ", flush=True)
    content = counted()
    counts = content.setdefault(group, {})
    for word in [word for each in tried for word in [group, *each.split("; ")]]:
        counts[word] = counts.get(word, 0) + 1
    content["next"][group] = max(content["next"].get(group, 0), seed + 1)
    content["faults"] += [f"{group}:{seed} {fault[:150]}" for fault in faults]
    content["commit"] = subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], cwd=REPO, text=True).strip()
    COUNTS.write_text(f"{json.dumps(content, indent=1, sort_keys=True)}\n")
    return len(faults)


def main(minutes: str = "10", group: str = "", seed: str = "") -> int:
    """1 if a case did not hold."""
    work = Path(os.environ.get("CHAOS_WORK") or tempfile.mkdtemp(prefix="chaos-")).resolve()
    work.mkdir(exist_ok=True)
    set_up(work)
    until, faults = time.monotonic() + 60 * float(minutes), 0
    while time.monotonic() < until:
        for name in [group] if group else GROUPS:
            faults += run_case(name, int(seed or counted()["next"].get(name, 0)), work)
        if seed:
            break
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
