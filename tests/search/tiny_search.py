"""Tiny suites with a search, run in this process or by the real command line."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from harness.execution.outcome import Outcome
from harness.execution.run import ExecuteSettings
from harness.execution.session import Session
from harness.records.run_folder import RunFolder
from harness.records.schema import Trial
from harness.records.suite_folder import SuiteFolder
from harness.search.run import run_search
from harness.train.stop import StopFlag
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny

SEARCH: dict[str, Any] = {
    "mode": "headline",
    "trials": 3,
    "budget": {"steps": 12},
    "labelled": 2,
    "subset": 1,
    "seed": 100,
    "validations": 2,
}


def make_search(
    make_tiny: MakeTiny, methods: Mapping[str, Mapping[str, Any]], search: Mapping[str, Any] | None = None, **more: Any
) -> Tiny:
    fields = {name: value for name, value in {**SEARCH, **(search or {})}.items() if value is not None}
    return make_tiny(methods, **{"budget": {"steps": 16}, "search": fields, **more})


def edit(tiny: Tiny, **changes: Any):
    content = {**yaml.safe_load(tiny.suite.read_text()), **changes}
    kept = {name: value for name, value in content.items() if value is not None}
    tiny.suite.write_text(yaml.safe_dump(kept, sort_keys=False))


def search_inline(tiny: Tiny, stop: StopFlag | None = None) -> tuple[Session, list[Outcome], list[str]]:
    said: list[str] = []
    handler, logger = logging.Handler(), logging.getLogger("harness.search.run")
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        settings = ExecuteSettings("inline", 1, 1000.0)
        session, outcomes = run_search(tiny.session(), settings, stop or StopFlag())
    finally:
        logger.removeHandler(handler)
        logger.setLevel(logging.NOTSET)
    return session, outcomes, said


def store_of(tiny: Tiny) -> SuiteFolder:
    return SuiteFolder(tiny.store)


def trials_of(tiny: Tiny) -> list[Trial]:
    points = store_of(tiny).trials()
    assert points is not None
    return points.trials


def folder_of(tiny: Tiny, trial: str) -> RunFolder:
    (found,) = [one for one in trials_of(tiny) if str(one) == trial]
    return store_of(tiny).by_id(found.run)


def files_of(root: Path) -> set[str]:
    return {path.name for path in root.rglob("*") if path.is_file()}
