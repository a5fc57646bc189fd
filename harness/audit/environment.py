"""Rules about where numbers were made, and whether they can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from harness.audit.evidence import (
    NOT_RECORDED,
    broken,
    counted,
    held,
    names,
    not_applicable,
    nothing_finished,
    one_value,
    together,
)
from harness.audit.finding import Verdict
from harness.audit.records import SuiteRecords, UnitRecords
from harness.audit.rule import rule
from harness.audit.speed import one_speed
from harness.records.schema import Environment

FILE = "environments/*.json"


@rule(
    16,
    "One device model and one software for all units",
    "Device time on one GPU model is not device time on another, kernels differ between versions, and machines of one "
    "name differ in speed.",
    practices=(29,),
)
def one_device(suite: SuiteRecords) -> Verdict:
    """Device model and type, torch and CUDA in the environment of every ended unit are the same.

    No unit went on in another environment than it started in. The leaderboard gives each environment a table of
    its own. In a budget of device time, units that differ in seed and labelled subset alone make steps at rates within
    25 % of their median, in each stage of 100 steps and 60 s at least.
    """
    ended = _ended(suite)
    if not ended:
        return nothing_finished(suite)
    device = one_value(ended, "device", lambda one: _device(one.environment), FILE)
    software = one_value(ended, "software", lambda one: _software(one.environment), FILE)
    return together(device, software, _moved(suite.units), one_speed(suite.finished))


def _moved(units: Sequence[UnitRecords]) -> Verdict:
    moved = [one for one in units if went_on_elsewhere(one)]
    if moved:
        return broken(moved, f"went on in another environment (ledger.jsonl): {names(moved)}")
    return held()


def went_on_elsewhere(one: UnitRecords) -> bool:
    """Whether an attempt went on from a checkpoint of another environment, or the result names another one."""
    starts = [line for line in one.ledger if line.kind == "start"]
    elsewhere = any(b.base_steps and b.environment != a.environment for a, b in pairwise(starts))
    ended = one.result is not None and bool(starts) and starts[-1].environment != one.result.environment
    return elsewhere or ended


@rule(
    17,
    "One precision and one thread count for all units",
    "Half precision changes the order of methods with heavy heads; two threads beside a busy neighbour were charged up "
    "to twelve times too much.",
    practices=(30,),
)
def one_precision(suite: SuiteRecords) -> Verdict:
    """Precision and threads in the environment of every ended unit are the same."""
    ended = _ended(suite)
    if not ended:
        return nothing_finished(suite)
    return one_value(ended, "arithmetic", lambda one: _arithmetic(one.environment), FILE)


@rule(
    18,
    "Every result can be made again",
    "The same method of the same authors appears with values 2.5 Dice apart, and seeded code that is not reproducible.",
    practices=(13, 24),
)
def repeatable(suite: SuiteRecords) -> Verdict:
    """history.parquet and result.json hold the progress of each step and the hash of the weights.

    With seed and settings (unit.json) that is what `harness replay` needs to prove a result bit by bit.
    """
    if not suite.finished:
        return nothing_finished(suite)
    untraced = [one.records for one in suite.finished if one.records.trace is None]
    short = [
        one.records
        for one in suite.finished
        if one.records.trace is not None
        and (one.records.trace.steps != one.result.spent.useful_steps or not one.records.trace.replayable)
    ]
    unhashed = [one.records for one in suite.finished if one.result.weights_sha256 is None]
    if short or unhashed:
        lines = [f"history.parquet does not hold every step: {names(short)}"] if short else []
        lines += [f"no weights_sha256 in result.json: {names(unhashed)}"] if unhashed else []
        return broken([*short, *unhashed], *lines)
    steps = sum(one.result.spent.useful_steps for one in suite.finished)
    found = held(
        f"progress of {steps:,} steps and the weights' hash of {counted(len(suite.finished), 'unit')} on record"
    )
    return together(found, not_applicable(f"{NOT_RECORDED}history of {names(untraced)}")) if untraced else found


def _ended(suite: SuiteRecords) -> list[UnitRecords]:
    return [one for one in suite.units if one.environment is not None]


def _device(environment: Environment | None) -> str:
    return "unknown" if environment is None else f"{environment.device_model} ({environment.device_type})"


def _software(environment: Environment | None) -> str:
    if environment is None:
        return "unknown"
    return f"torch {environment.torch}" + (f", CUDA {environment.cuda}" if environment.cuda else "")


def _arithmetic(environment: Environment | None) -> str:
    if environment is None:
        return "unknown"
    return f"{environment.precision}, {counted(environment.threads, 'thread')}"
