"""Kills: a run is ended in phase after phase, started again each time, and must end as if nothing had happened."""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from random import Random
from typing import Any

from harness.execution.session import open_session
from harness.records.ledger import Ledger
from harness.slurm.record import Submissions
from harness.suite.load import load_suite
from tests.chaos.hook import MOMENT, PHASES, Moment
from tests.chaos.process import Done, call, fork
from tests.search.tiny_search import SEARCH
from tests.slurm.submissions import submission
from tests.train.tiny import write_suite

SUITES: Mapping[str, Mapping[str, Any]] = {
    "plain": {"methods": {"tiny_staged": {}, "tiny_floor": {}}, "budget": {"steps": 24}, "seeds": [0, 1, 2]},
    "searched": {"methods": {"tiny_staged": {}}, "budget": {"steps": 24}, "search": {**SEARCH, "trials": 2}},
    "calibrated": {"methods": {"tiny_floor": {}}, "budget": {"reference_steps": 40}, "seeds": [0, 1, 2]},
}
NOT_HELD = {"plain": {"22", "29"}, "calibrated": {"35"}}
"""Rules that a suite may break: its methods differ in their networks, it has no reference; steps this short vary."""
EXECUTORS = {"inline": ("--executor", "inline"), "ray": ("--executor", "ray"), "processes": (), "slurm task": ()}
OF_A_DRIVER = ("preparing", "calibrating", "searching", "leaderboard", "tracking")
KILLS, GOES = 10, 20
"""Moments of a case, and the starts after them."""
OFTEN = {"calibrating": 20, "testing": 2, "checkpointing": 8, "validating": 3}
"""Phases that pass so fast, or are in so few suites, that they need more moments than the others' one."""


def start(root: Path, executor: str, suite: Path, env: Mapping[str, str], *options: str) -> Done:
    if executor != "slurm task":
        line = (*EXECUTORS[executor], "--suite", str(suite), "--checkpoint-seconds", "0.05", *options)
        return call("run", *line, cwd=root, env=env)
    record = root / "runs" / "tiny" / "slurm" / "tiny-tasks-1.json"
    done = None if record.exists() else fork(partial(_submit, suite, root / "runs"), root, env)
    return done if done and done.code else call("slurm-task", record, "0", cwd=root, env=env)


def _submit(suite: Path, runs: Path):
    """Put all runs on record as one task, as the submitter does."""
    session = open_session(load_suite(str(suite)), None, runs)
    own = {"suite": session.plan.loaded.suite.hash, "cache": str(session.cache.folder), "checkpoint_seconds": 0.05}
    Submissions(session.store.root).write(submission(session.named).model_copy(update=own))


def facts(store: Path) -> dict[str, Any]:
    """What a suite's numbers are: equal for an uninterrupted and an interrupted one."""
    selection = json.loads((store / "selection.json").read_text())
    found: dict[str, Any] = {"selection": [selection["entries"], selection["candidates"]]}
    for path in sorted(store.glob("runs/*/result.json")):
        result = json.loads(path.read_text())
        validations = [{**each, "device_seconds": 0} for each in result["validations"]]
        files = [result["files"].get(name) for name in ("cases.parquet", "predictions.npz", "final.json")]
        found[path.parent.name] = [result["status"], result["weights_sha256"], files, validations]
    return found


@cache
def uninterrupted(work: Path, kind: str) -> dict[str, Any]:
    """Facts of a suite that nothing disturbed; none where each measures its own steps."""
    root = work / f"whole-{kind}"
    if kind != "calibrated":
        start(root, "inline", write_suite(root, **SUITES[kind]), {}, "--no-track")
    return {} if kind == "calibrated" else facts(root / "runs" / "tiny")


def draw(random: Random, seed: int, root: Path) -> tuple[str, str, list[Moment]]:
    """The suite, the executor and the moments of a case, in the order of phases."""
    executor = random.choices(list(EXECUTORS), [14, 1, 3, 2])[0]
    kind = "plain" if executor != "inline" else "calibrated" if seed % 3 == 2 else "searched"
    other = {"calibrating": "calibrated", "searching": "searched"}
    led = executor != "slurm task"
    possible = [each for each in PHASES if other.get(each, kind) == kind and (led or each not in OF_A_DRIVER)]
    moments = []
    drawn = random.choices(possible, [OFTEN.get(each, 1) for each in possible], k=KILLS)
    for number, phase in enumerate(sorted(drawn, key=list(PHASES).index)):
        _, _, seconds, calls = PHASES[phase]
        alone = executor == "inline" or phase in OF_A_DRIVER
        target = random.choice(["run", "group"] if alone else ["run", "trainer", "group"])
        name = random.choice(["SIGKILL", "SIGKILL", "SIGTERM"])
        delay = random.uniform(0, 1.5 * seconds)
        moments.append(Moment(phase, random.randint(1, calls), delay, target, name, str(root / str(number))))
    return kind, executor, moments


def try_kills(seed: int, root: Path) -> tuple[list[str], list[str]]:
    """One case: the kills that happened, and faults."""
    kind, executor, moments = draw(Random(f"kills {seed}"), seed, root)
    expected = uninterrupted(root.parent, kind)
    suite, store = write_suite(root, **SUITES[kind]), root / "runs" / "tiny"
    env = {"HARNESS_CACHE": str(root / "cache")} if moments[0].phase == "preparing" else {}
    happened, faults, finished = [], [], dict[Path, bytes]()
    for moment in [*moments, *[None] * GOES]:
        armed = {MOMENT: json.dumps(asdict(moment))} if moment else {}
        done = start(root, executor, suite, env | armed, *(["--no-track"] if moments[-1].phase != "tracking" else []))
        hit = moment is not None and Path(moment.fired).exists()
        if moment and hit:
            happened.append(f"{moment.phase}; {moment.target}; {executor}; {moment.signal}")
        faults += done.faults(*((9, 15) if hit else ()))
        lost = [path for path, content in finished.items() if not path.exists() or path.read_bytes() != content]
        faults += [f"{path} is gone or was written again" for path in lost]
        finished |= {path: path.read_bytes() for path in store.glob("runs/*/result.json")}
        if moment is None and done.code != 75:
            break
    if executor == "slurm task" and not done.code:  # whoever submitted them comes back
        done = start(root, "inline", suite, env, "--no-track")
    verbs = {"verify": "all whole", "audit": "rules: ", "track": "(0 new, 0 replaced"}
    for verb in [*verbs][: 3 if moments[-1].phase == "tracking" else 2]:
        said = call(verb, store, cwd=root)
        broken = set(re.findall(r"(\d+)\. ", said.output.partition("error: not held: ")[2]))
        faults += [f"{verb}: {said}"] if verbs[verb] not in said.output or broken - NOT_HELD.get(kind, set()) else []
    return happened, [f"{moments}: {fault}" for fault in faults + judge(done, store, expected)]


def judge(done: Done, store: Path, expected: dict[str, Any]) -> list[str]:
    """Whether the last start ended well, with the numbers of an uninterrupted run and ledgers that add up."""
    if done.code:
        return [f"the last start ends with {done}"]
    mine, faults = facts(store), []
    faults += [f"{name}: {mine.get(name)}, not {value}" for name, value in expected.items() if mine.get(name) != value]
    for path in store.glob("runs/*"):
        spent = Ledger(path / "ledger.jsonl").spent().model_dump(mode="json")
        recorded = json.loads((path / "result.json").read_text())["spent"]
        left = [*path.rglob(".*"), *path.glob("lease")]
        if recorded != spent or left:
            faults.append(f"{path}: the ledger has {spent}, the result {recorded}; left over: {left}")
    return faults
