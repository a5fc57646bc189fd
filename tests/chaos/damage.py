"""Damaged records x verbs: no traceback, and no other number without a word about the damaged file."""

import json
import os
import shutil
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random

from tests.chaos.process import CODES, fork
from tests.cli.ground import linked_copy
from tests.cli.test_verify import write_whole
from tests.support import call_cli

CASES = 20
VERBS = ("status", "verify", "errors", "export", "audit", "leaderboard")


def shape(random: Random, content: bytes) -> bytes:
    """The content with one fault, as a disk or a broken copy leaves it."""
    at = random.randrange(len(content))
    flipped = content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]
    return random.choice([*[flipped] * 8, content[:at], b"", content[:at].ljust(len(content), b"\0"), content + b"x"])


def tell(verb: str, root: Path) -> tuple[int, str, str]:
    """Exit code, numbers and messages of a verb on records, or on the archive beside them."""
    archive, exported = root.parent / "records.tar.gz", root.parent / "exported.tar.gz"
    options = {"export": (root, "--to", exported), "import": (archive, "--runs", root.parent / "runs")}
    done = call_cli(verb, *options.get(verb, (root,)), code=None)
    packed = sha256(exported.read_bytes()).hexdigest() if verb == "export" and exported.exists() else ""
    return done.returncode, done.stdout + packed, done.stderr


def _make(root: Path):
    """Sound records with an index and an archive, and what each verb says of them."""
    write_whole(root)
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))  # old enough for an index
    tell("leaderboard", root)
    tell("export", root)
    (root.parent / "exported.tar.gz").rename(root.parent / "records.tar.gz")
    told = {verb: tell(verb, root) for verb in [*VERBS, "import"]}
    (root.parent.parent / "told.json").write_text(json.dumps(told))


def _try(random: Random, root: Path, sound: Path):
    told = json.loads((sound.parent / "told.json").read_text())
    files = [path.relative_to(sound) for path in sorted(sound.rglob("*")) if path.is_file()]
    files = [path for path in files if path.parts[0] == "synthetic" or path.name == "records.tar.gz"]
    tried, faults = [], []
    for number in range(CASES):
        kind = random.choice(sorted({path.name for path in files}))
        name = random.choice([path for path in files if path.name == kind])
        verb = random.choice(VERBS) if name.parts[1:] else "import"
        path = linked_copy(sound, root / str(number)) / name
        times, content = path.stat(), shape(random, path.read_bytes())
        path.unlink()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # as a bit that rots
        tried.append(verb)
        try:
            code, numbers, messages = tell(verb, root / str(number) / "synthetic")
        except Exception as error:  # noqa: BLE001 - what the command line would show with a traceback
            code, numbers, messages = 1, "", repr(error)
        named = any(part[:8] in numbers + messages for part in name.parts[-2:])
        if code not in CODES or not (named or [code, numbers] == told[verb][:2]):
            faults.append(f"{name}, {number}: {verb} ends with {code}: {numbers[-500:]} {messages[-500:]}")
        else:
            shutil.rmtree(root / str(number))
    (root / "verdict.json").write_text(json.dumps([tried, faults]))


def try_damage(seed: int, root: Path) -> tuple[list[str], list[str]]:
    """Damaged files, each read by a verb: the verbs, and faults."""
    sound = root.parent / "sound" / "tree"
    if not sound.exists():
        assert fork(partial(_make, sound / "synthetic"), root, {}).code == 0
    done = fork(partial(_try, Random(f"damage {seed}"), root, sound), root, {})
    if done.code:
        return [], [str(done)]
    tried, faults = json.loads((root / "verdict.json").read_text())
    return tried, faults
