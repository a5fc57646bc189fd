"""Whether devices of one name were equally fast, from the steps that runs made in their device time.

A processor's name says little inside a virtual machine, and a neighbour can halve its speed. Runs that differ in their
seed and labelled subset alone do the same work in a step, so that their steps a device-second tell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from harness.audit.evidence import held, name_runs, not_applicable, not_held
from harness.audit.finding import Verdict
from harness.audit.records import EndedRun

LIMIT = 1.25
"""Fastest against slowest. Runs beside busy neighbours were seen 19 % apart, two machines of one name by 1.9 times."""

ENOUGH_STEPS, ENOUGH_SECONDS = 100, 60.0
"""Of a stage: fewer say nothing about a device."""


@dataclass
class Work:
    """One stage of runs that differ in seed and labelled subset alone. rates: steps a device-second of each."""

    stage: str
    runs: list[EndedRun] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)

    @property
    def gap(self) -> float:
        """The fastest rate against the slowest."""
        return max(self.rates) / min(self.rates)

    @property
    def gap_text(self) -> str:
        """That in words."""
        run = self.runs[0]
        where = f"{run.entry}, {run.asked.labelled or 'all'} labelled, stage {self.stage}"
        rates = f"{min(self.rates):.3g} to {max(self.rates):.3g} steps a device-second"
        return f"{self.gap - 1:.0%} ({where}: {rates})"

    @property
    def outliers(self) -> list[EndedRun]:
        """Runs that differ most from the median, where the fastest and the slowest are too far apart."""
        middle, far = median(self.rates), math.sqrt(LIMIT)
        pairs = zip(self.runs, self.rates, strict=True)
        return [run for run, rate in pairs if self.gap > LIMIT and max(rate / middle, middle / rate) > far]


def one_speed(finished: Sequence[EndedRun]) -> Verdict:
    """Steps a device-second of each stage agree within runs that differ in seed and labelled subset alone."""
    if not finished:
        return not_applicable("speed: no run has finished yet")
    if all(run.asked.budget.device_seconds is None for run in finished):
        return not_applicable("speed: the budget is in steps, a slow device changes nothing")
    compared = [work for work in _by_work(finished) if len(work.runs) > 1]
    if not compared:
        few = f"at least {ENOUGH_STEPS} steps and {ENOUGH_SECONDS:g} s in a stage"
        return not_applicable(f"speed: no two runs differ in seed and subset alone and made {few}")
    widest = max(compared, key=lambda work: work.gap)
    if widest.gap > LIMIT:
        slow = list({run.id: run for work in compared for run in work.outliers}.values())
        return not_held(slow, f"not one speed: {widest.gap_text}", f"far off: {name_runs(slow)}")
    if strangers := _strangers(finished, compared):
        return not_applicable(f"speed: no equal work ran on {strangers}; within each the most apart: {widest.gap_text}")
    return held(f"speed of runs that differ in seed and subset alone, at the most apart: {widest.gap_text}")


def _by_work(finished: Sequence[EndedRun]) -> list[Work]:
    """Stages that are long enough, those together whose steps are the same work."""
    works: dict[str, Work] = {}
    for run in finished:
        asked = json.dumps(run.asked.model_dump(mode="json", exclude={"seed", "subset"}), sort_keys=True)
        for stage, steps in run.result.stage_steps.items():
            seconds = run.result.stage_device_seconds[stage]
            if steps >= ENOUGH_STEPS and seconds >= ENOUGH_SECONDS:
                work = works.setdefault(f"{stage} {asked}", Work(stage))
                work.runs.append(run)
                work.rates.append(steps / seconds)
    return list(works.values())


def _strangers(finished: Sequence[EndedRun], compared: Sequence[Work]) -> str:
    """Hosts between which no equal work compares, "node1 and on node2, node3"; empty where all are linked."""
    islands = [{host} for host in {_host(run) for run in finished}]
    for work in compared:
        linked = {_host(run) for run in work.runs}
        touched = [island for island in islands if island & linked]
        islands = [island for island in islands if not island & linked] + [set().union(*touched)]
    return " and on ".join(", ".join(sorted(island)) for island in sorted(islands, key=sorted)) if islands[1:] else ""


def _host(run: EndedRun) -> str:
    return run.result.shown.get("host") or "a host that is not on record"
