"""Suites that train in a second: the plug-in installed for every process, sessions, runs that are cut short."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.api import Dataset, Method
from harness.api.errors import InterruptedRunError
from harness.execution.session import Session, open_session
from harness.records.ledger import LedgerLine
from harness.records.run_folder import RunFolder
from harness.records.schema import Result, Run
from harness.suite.load import load_suite
from harness.train.run import RunSettings, train_run
from harness.train.stop import StopFlag
from tests.support import command_environment, stat_of
from tests.train import plugin


def install(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).with_name("plugin.py"), folder / "tiny_plugin.py")
    entry_points = (f"[harness.{room}]\n{_lines(base)}" for room, base in (("methods", Method), ("datasets", Dataset)))
    write_metadata(folder, "\n".join(entry_points))


def _lines(base: type) -> str:
    kinds = [kind for kind in vars(plugin).values() if isinstance(kind, type) and issubclass(kind, base)]
    names = {kind.__name__: vars(kind).get("name") for kind in kinds}
    return "".join(f"{name} = tiny_plugin:{kind}\n" for kind, name in names.items() if name)


def write_metadata(folder: Path, entry_points: str, name: str = "tiny-plugin") -> None:
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(entry_points, encoding="utf-8")


@dataclass(frozen=True)
class Tiny:
    root: Path
    suite: Path
    environment: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def store(self) -> Path:
        return self.runs / self.suite.stem

    def session(self) -> Session:
        return open_session(load_suite(str(self.suite)), None, self.runs)

    def folder(self, planned_run: str) -> RunFolder:
        session = self.session()
        return session.folder(session.find(planned_run))

    def arguments(self, verb: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "harness", verb, *more, "--suite", str(self.suite), "--runs", str(self.runs)]

    def start(self, verb: str, *more: str) -> subprocess.Popen[str]:
        """A real process, with its output in a file beside the runs."""
        with (self.root / "output.txt").open("a", encoding="utf-8") as output:
            return subprocess.Popen(
                self.arguments(verb, *more),
                env=command_environment(self.environment),
                cwd=self.root,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                text=True,
            )

    @property
    def output(self) -> str:
        return (self.root / "output.txt").read_text(encoding="utf-8")


def write_suite(root: Path, methods: Mapping[str, Mapping[str, Any]], **changes: Any) -> Path:
    """A suite file in `root`: seed 0, two labelled patients, 40 steps of 4 images unless `changes` say otherwise."""
    suite: dict[str, Any] = {
        "name": "tiny",
        "dataset": "tiny_squares",
        "preprocessing": {"size": [32, 32], "resize": "area"},
        "labelled": [2],
        "seeds": [0],
        "methods": {name: {"params": dict(params)} for name, params in methods.items()},
        "budget": {"steps": 40},
        "engine": {"batch_size": 4, "validations": 4, "warmup_steps": 2, "optimiser": {"learning_rate": 0.05}},
    }
    for key, value in changes.items():
        suite[key] = {**suite[key], **value} if key == "engine" else value
    root.mkdir(parents=True, exist_ok=True)
    path = root / f"{suite['name']}.yaml"
    path.write_text(yaml.safe_dump(suite, sort_keys=False), encoding="utf-8")
    return path


def with_deaths(folder: Path) -> dict[str, dict[str, Any]]:
    """Methods of which one dies once, one whenever it starts, and one fails; files in the folder count the deaths."""
    once = {"die_before_step": 25, "deaths": 1, "tally": str(folder / "mortal")}
    always = {"die_before_step": 12, "deaths": 99, "tally": str(folder / "doomed")}
    return {"tiny_staged": {}, "tiny_mortal": once, "tiny_doomed": always, "tiny_error": {}}


class StopAfter(StopFlag):
    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps

    def is_set(self) -> bool:
        if self._left <= 0:
            self.set("SIGTEST")
        self._left -= 1
        return super().is_set()


def train(tiny: Tiny, planned_run: str, stop: StopFlag | None = None, checkpoint_seconds: float = 1000.0) -> Result:
    session = tiny.session()
    settings = RunSettings(checkpoint_seconds=checkpoint_seconds, stop=stop or StopFlag(), wait_for_lease_seconds=0)
    return train_run(tiny.folder(planned_run), session.cache, session.store.selection_path, settings)


def interrupt(tiny: Tiny, planned_run: str, steps: int) -> None:
    with pytest.raises(InterruptedRunError):
        train(tiny, planned_run, StopAfter(steps))


def run_of(tiny: Tiny, planned_run: str) -> Run:
    return tiny.session().find(planned_run)


def lines_of(folder: RunFolder, attempt: int) -> list[LedgerLine]:
    return [line for line in folder.ledger.lines() if line.attempt == attempt]


def processes_with(text: str) -> list[int]:
    """Pids of living processes with `text` in their command line, or in the name of the file that they print to."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            output = str((path / "fd" / "1").readlink())
            state = stat_of(path.name)[0]
        except OSError:
            continue
        if text in f"{command} {output}" and state not in "ZX" and int(path.name) != os.getpid():
            found.append(int(path.name))
    return found
