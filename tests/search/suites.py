"""Suites with a search, on data that a plan alone never opens, and records of trials that nobody trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml

from harness.api.errors import UsageError
from harness.records.run_folder import RunFolder
from harness.records.schema import DatasetRef, Failure, Result, Spent, Validation
from harness.records.suite_folder import SuiteFolder, Trials
from harness.suite.load import load_suite
from harness.suite.plan import Plan, make_plan
from harness.suite.trials import PlannedTrial

DATA = DatasetRef(name="phantom", version=1, checksum="c" * 64)
SEARCH: dict[str, Any] = {
    "mode": "headline",
    "trials": 4,
    "budget": {"steps": 40},
    "labelled": 4,
    "subset": 1,
    "seed": 100,
    "validations": 2,
}
RATE = {"optimiser.learning_rate": {"scale": "log", "values": [0.001, 0.1]}}
SUITE: dict[str, Any] = {
    "name": "small",
    "dataset": "phantom",
    "preprocessing": {"size": [32, 32]},
    "labelled": [3, 7],
    "subsets": [0, 2],
    "seeds": [0, 1],
    "methods": {"supervised": None, "ua_mt": {"params": {"consistency": 0.2}}},
    "budget": {"steps": 100},
    "engine": {"batch_size": 8, "validations": 5},
    "search": SEARCH,
}


def suite_with(changes: Mapping[str, Any] | None = None, **search: Any) -> dict[str, Any]:
    searched = {name: value for name, value in {**SEARCH, **search}.items() if value is not None}
    return {**SUITE, "search": searched, **(changes or {})}


def write(folder: Path, content: Mapping[str, Any]) -> Path:
    path = folder / "small.yaml"
    path.write_text(yaml.safe_dump(dict(content), sort_keys=False))
    return path


def plan_of(folder: Path, changes: Mapping[str, Any] | None = None, data: DatasetRef = DATA, **search: Any) -> Plan:
    return make_plan(load_suite(str(write(folder, suite_with(changes, **search)))), data)


def refusal(folder: Path, changes: Mapping[str, Any] | None = None, **search: Any) -> str:
    with pytest.raises(UsageError) as caught:
        plan_of(folder, changes, **search)
    assert caught.value.exit_code == 64
    return str(caught.value)


def line_about(message: str, path: Path, field: str, text: str) -> str:
    """The line of a refusal that names the field, and a line of the suite file that begins with the text."""
    lines = path.read_text().splitlines()
    found = [number for number, content in enumerate(lines, start=1) if content.strip().startswith(text)]
    own = [one for one in message.splitlines() if any(one.startswith(f"{path}:{line}: {field}: ") for line in found)]
    assert len(own) == 1, message
    return own[0]


def trials_of(plan: Plan, row: str, study: int = 0) -> list[PlannedTrial]:
    return [one for one in plan.trials if (one.trial.entry, one.trial.study) == (row, study)]


Status = Literal["ok", "failed", "ended_early"]


def end(folder: RunFolder, dice: float | None = None, status: Status = "ok"):
    folder.write_result(result_of(folder.id, dice, status))


def result_of(run: str, dice: float | None = None, status: Status = "ok") -> Result:
    validations = (
        [] if dice is None else [Validation(validation=2, progress=1.0, step=40, device_seconds=2.0, dice={"LV": dice})]
    )
    first = Validation(validation=1, progress=0.5, step=20, device_seconds=1.0, dice={"LV": 0.99})
    return Result(
        run=run,
        status=status,
        failure=Failure(kind="nan", reason="loss became NaN") if status == "failed" else None,
        environment="",
        spent=Spent(useful_device_seconds=2.0, lost_device_seconds=0.0, useful_steps=40, lost_steps=0, attempts=1),
        validations=[first, *validations] if validations else [],
        finished_at="2026-11-02T10:00:00Z",
    )


def store_of(root: Path, plan: Plan) -> SuiteFolder:
    store = SuiteFolder.create(root / "small")
    store.keep_suite(plan.loaded.text, plan.loaded.suite.hash)
    for planned in plan.trials:
        store.by_id(planned.run.id).create(planned.run)
    store.write_trials(Trials(suite_hash=plan.loaded.suite.hash, trials=[one.trial for one in plan.trials]))
    return store
