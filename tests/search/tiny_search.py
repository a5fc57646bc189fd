"""Tiny suites with a search, run in this process or by the real command line."""

import logging
from typing import Any

from harness.execution.run import ExecuteSettings
from harness.records.suite_folder import SuiteFolder
from harness.search.run import run_search
from harness.train.stop import StopFlag

SEARCH: dict[str, Any] = {
    "mode": "headline",
    "trials": 3,
    "budget": {"steps": 12},
    "labelled": 2,
    "subset": 1,
    "seed": 100,
    "validations": 2,
}


def make_search(make_tiny, methods, search=None, **more):
    fields = {name: value for name, value in {**SEARCH, **(search or {})}.items() if value is not None}
    return make_tiny(methods, **{"budget": {"steps": 16}, "search": fields, **more})


def search_inline(tiny, stop=None):
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


def store_of(tiny):
    return SuiteFolder(tiny.store)


def trials_of(tiny):
    points = store_of(tiny).trials()
    assert points is not None
    return points.trials


def folder_of(tiny, trial):
    (found,) = [one for one in trials_of(tiny) if str(one) == trial]
    return store_of(tiny).by_id(found.run)


def files_of(root):
    return {path.name for path in root.rglob("*") if path.is_file()}
