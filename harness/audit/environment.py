"""Rules about where numbers were made, whether devices of one name were equally fast, and whether all can be repeated.

A processor's name says little inside a virtual machine, and a neighbour can halve its speed. Runs that differ in their
seed and labelled subset alone do the same work in a step, so that their steps a device-second tell.
"""

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from statistics import median

from harness.api.strict import canonical_json
from harness.audit.finding import Verdict, combine, held, held_unless, name_runs, not_applicable, not_held
from harness.audit.records import AuditedSuite, EndedRun, SelectedRun
from harness.audit.rule import NOT_RECORDED, counted, one_value, rule
from harness.records.schema import Environment

LIMIT = 1.25
"""Fastest against slowest. Runs beside busy neighbours were seen 19 % apart, two machines of one name by 1.9 times."""

ENOUGH_STEPS, ENOUGH_SECONDS = 100, 60.0
"""Of a stage: fewer say nothing about a device."""

Rates = dict[EndedRun, float]
"""Steps a device-second of runs that did the same work."""


@rule(16, needs="environments")
def one_device(suite: AuditedSuite) -> Verdict:
    moved = [run for run in suite.runs if went_on_elsewhere(run)]
    shown = {run: run.environment.shown for run in suite.runs if run.environment is not None}
    parts = {run: part for run, facts in shown.items() if (part := facts.get("gpu_part"))}
    return combine(
        _one_environment(suite, "device", lambda place: f"{place.device_model} ({place.device_type})"),
        _one_environment(
            suite, "software", lambda place: f"torch {place.torch}" + (f", CUDA {place.cuda}" if place.cuda else "")
        ),
        held_unless(moved, "went on in another environment (ledger.jsonl)"),
        held_unless(
            list(parts), f"trained on a part of a GPU: {', '.join(dict.fromkeys(parts.values()))} (result.json)"
        ),
        one_speed(suite.finished),
    )


def _one_environment(suite: AuditedSuite, what: str, text: Callable[[Environment], str]) -> Verdict:
    environments = {run.id: run.environment for run in suite.runs if run.environment is not None}
    return one_value(suite.named(environments), what, lambda run: text(environments[run.id]), "environments/*.json")


def went_on_elsewhere(run: SelectedRun) -> bool:
    """Whether an attempt went on from a checkpoint of another environment, or the result names another one.

    Under reference steps that changes no number: the ledger names every environment.
    """
    if run.asked.budget.reference_steps is not None:
        return False
    starts = [line for line in run.ledger if line.kind == "start"]
    elsewhere = any(b.base_steps and b.environment != a.environment for a, b in pairwise(starts))
    ended = run.result is not None and bool(starts) and starts[-1].environment != run.result.environment
    return elsewhere or ended


@rule(17, needs="environments")
def one_precision(suite: AuditedSuite) -> Verdict:
    return _one_environment(suite, "arithmetic", lambda place: f"{place.precision}, {counted(place.threads, 'thread')}")


@rule(18)
def repeatable(suite: AuditedSuite) -> Verdict:
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
    rest = [not_applicable(f"{NOT_RECORDED}history of {name_runs(untraced)}")] if untraced else []
    return combine(on_record, *rest)


def one_speed(finished: Sequence[EndedRun]) -> Verdict:
    """Steps a device-second of each stage agree within runs that differ in seed and labelled subset alone."""
    if not finished:
        return not_applicable("speed: no run has finished yet")
    if all(run.asked.budget.counts_steps for run in finished):
        return not_applicable("speed: the budget is in steps, a slow device changes nothing")
    works = _works(finished)
    if not works:
        few = f"at least {ENOUGH_STEPS} steps and {ENOUGH_SECONDS:g} s in a stage"
        return not_applicable(f"speed: no two runs differ in seed and subset alone and made {few}")
    stage, widest = max(works, key=lambda work: _gap(work[1]))
    first, low, high = next(iter(widest)), min(widest.values()), max(widest.values())
    where = f"{first.entry}, {first.asked.labelled or 'all'} labelled, stage {stage}"
    text = f"{_gap(widest) - 1:.0%} ({where}: {low:.3g} to {high:.3g} steps a device-second)"
    if _gap(widest) > LIMIT:
        slow = list(dict.fromkeys(run for _, rates in works for run in _outliers(rates)))
        return not_held(slow, f"not one speed: {text}", f"far off: {name_runs(slow)}")
    if strangers := _strangers(finished, [rates for _, rates in works]):
        return not_applicable(f"speed: no equal work ran on {strangers}; within each the most apart: {text}")
    return held(f"speed of runs that differ in seed and subset alone, at the most apart: {text}")


def _works(finished: Sequence[EndedRun]) -> list[tuple[str, Rates]]:
    """Stages that are long enough, with the rates of at least two runs whose steps are the same work."""
    works: dict[tuple[str, str], Rates] = {}
    for run in finished:
        asked = canonical_json(run.asked.model_dump(mode="json", exclude={"seed", "subset"}))
        for stage, steps in run.result.stage_steps.items():
            seconds = run.result.stage_device_seconds.get(stage, 0.0)
            if steps >= ENOUGH_STEPS and seconds >= ENOUGH_SECONDS:
                works.setdefault((stage, asked), {})[run] = steps / seconds
    return [(stage, rates) for (stage, _), rates in works.items() if len(rates) > 1]


def _gap(rates: Rates) -> float:
    return max(rates.values()) / min(rates.values())


def _outliers(rates: Rates) -> list[EndedRun]:
    """Runs that differ most from the median, where the fastest and the slowest are too far apart."""
    middle, far = median(rates.values()), math.sqrt(LIMIT)
    return [run for run, rate in rates.items() if _gap(rates) > LIMIT and max(rate / middle, middle / rate) > far]


def _strangers(finished: Sequence[EndedRun], compared: Sequence[Rates]) -> str:
    """Hosts between which no equal work compares, "node1 and on node2, node3"; empty where all are linked."""
    islands = [{host} for host in {_host(run) for run in finished}]
    for rates in compared:
        linked = {_host(run) for run in rates}
        touched = [island for island in islands if island & linked]
        islands = [island for island in islands if not island & linked] + [set().union(*touched)]
    return " and on ".join(", ".join(sorted(island)) for island in sorted(islands, key=sorted)) if islands[1:] else ""


def _host(run: EndedRun) -> str:
    return run.result.shown.get("host") or "a host that is not on record"
