"""Rules about where numbers were made, and whether they can be made again."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from harness.audit.evidence import (
    NOT_RECORDED,
    combine,
    counted,
    held,
    held_unless,
    name_runs,
    not_applicable,
    one_value,
)
from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, SelectedRun
from harness.audit.rule import rule
from harness.audit.speed import one_speed
from harness.records.schema import Environment


@rule(
    16,
    "One device model and one software for all runs",
    "Device time on one GPU model is not device time on another, kernels differ between versions, and machines of one "
    "name differ in speed.",
    needs="environments",
)
def one_device(suite: AuditedSuite) -> Verdict:
    """Device model and type, torch and CUDA in the environment of every ended run are the same.

    No run went on in another environment than it started in. The leaderboard gives each environment a table of
    its own. In a budget of device time, runs that differ in seed and labelled subset alone make steps at rates within
    25 % of their median, in each stage of 100 steps and 60 s at least.
    """
    moved = [run for run in suite.runs if went_on_elsewhere(run)]
    return combine(
        _one_environment(suite, "device", lambda place: f"{place.device_model} ({place.device_type})"),
        _one_environment(suite, "software", _software),
        held_unless(moved, "went on in another environment (ledger.jsonl)"),
        one_speed(suite.finished),
    )


def _one_environment(suite: AuditedSuite, what: str, text: Callable[[Environment], str]) -> Verdict:
    """Whether the environments of all ended runs say the same."""
    environments = {run.id: run.environment for run in suite.runs if run.environment is not None}
    return one_value(suite.named(environments), what, lambda run: text(environments[run.id]), "environments/*.json")


def _software(place: Environment) -> str:
    return f"torch {place.torch}" + (f", CUDA {place.cuda}" if place.cuda else "")


def went_on_elsewhere(run: SelectedRun) -> bool:
    """Whether an attempt went on from a checkpoint of another environment, or the result names another one."""
    starts = [line for line in run.ledger if line.kind == "start"]
    elsewhere = any(b.base_steps and b.environment != a.environment for a, b in pairwise(starts))
    ended = run.result is not None and bool(starts) and starts[-1].environment != run.result.environment
    return elsewhere or ended


@rule(
    17,
    "One precision and one thread count for all runs",
    "Half precision changes the order of methods with heavy heads; two threads beside a busy neighbour were charged up "
    "to twelve times too much.",
    needs="environments",
)
def one_precision(suite: AuditedSuite) -> Verdict:
    """Precision and threads in the environment of every ended run are the same."""
    return _one_environment(suite, "arithmetic", lambda place: f"{place.precision}, {counted(place.threads, 'thread')}")


@rule(
    18,
    "Every result can be made again",
    "The same method of the same authors appears with values 2.5 Dice apart, and seeded code that is not reproducible.",
)
def repeatable(suite: AuditedSuite) -> Verdict:
    """history.parquet and result.json hold the progress of each step and the hash of the weights.

    With seed and settings (run.json) that is what `harness replay` needs to prove a result bit by bit.
    """
    traces = {run: run.trace for run in suite.finished if run.trace is not None}
    short = [
        run for run, trace in traces.items() if trace.steps != run.result.spent.useful_steps or not trace.replayable
    ]
    unhashed = [run for run in suite.finished if run.result.weights_sha256 is None]
    if short or unhashed:
        return combine(
            held_unless(short, "history.parquet does not hold every step"),
            held_unless(unhashed, "no weights_sha256 in result.json"),
        )
    steps = sum(run.result.spent.useful_steps for run in suite.finished)
    runs = counted(len(suite.finished), "run")
    on_record = held(f"progress of {steps:,} steps and the weights' hash of {runs} on record")
    untraced = [run for run in suite.finished if run.trace is None]
    return (
        combine(on_record, not_applicable(f"{NOT_RECORDED}history of {name_runs(untraced)}")) if untraced else on_record
    )
