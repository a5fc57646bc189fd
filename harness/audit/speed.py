"""Whether devices of one name were equally fast, from the steps that units made in their device time.

A processor's name says little inside a virtual machine, and a neighbour can halve its speed. Units that differ in their
seed and labelled subset alone do the same work in a step, so that their steps a device-second tell.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from statistics import median

from harness.audit.evidence import broken, held, names, not_applicable
from harness.audit.finding import Verdict
from harness.audit.records import Finished, UnitRecords

LIMIT = 1.25
"""Fastest against slowest. Units beside busy neighbours were seen 19 % apart, two machines of one name by 1.9 times."""
Rates = Sequence[tuple[float, Finished, str]]
"""(steps a device-second, unit, stage) of units that do the same work."""

ENOUGH_STEPS, ENOUGH_SECONDS = 100, 60.0
"""Of a stage: fewer say nothing about a device."""


def one_speed(finished: Sequence[Finished]) -> Verdict:
    """Steps a device-second of each stage agree within units that differ in seed and labelled subset alone."""
    if not finished:
        return not_applicable("speed: no unit has finished yet")
    if all(one.unit.budget.device_seconds is None for one in finished):
        return not_applicable("speed: the budget is in steps, a slow device changes nothing")
    alike = [rates for rates in _by_work(finished).values() if len(rates) > 1]
    if not alike:
        few = f"at least {ENOUGH_STEPS} steps and {ENOUGH_SECONDS:g} s in a stage"
        return not_applicable(f"speed: no two units differ in seed and subset alone and made {few}")
    gap, text = max(map(_gap, alike))
    if gap > LIMIT:
        slow = {one.folder.id: one for rates in alike for one in _far(rates)}.values()
        return broken(slow, f"not one speed: {text}", f"far off: {names(list(slow))}")
    strangers = _strangers(finished, alike)
    if strangers:
        return not_applicable(f"speed: no equal work ran on {strangers}; within each the most apart: {text}")
    return held(f"speed of units that differ in seed and subset alone, at the most apart: {text}")


def _by_work(finished: Iterable[Finished]) -> dict[str, list[tuple[float, Finished, str]]]:
    """(steps a device-second, unit, stage) of units whose steps are the same work."""
    found: dict[str, list[tuple[float, Finished, str]]] = {}
    for one in finished:
        work = json.dumps(one.unit.model_dump(mode="json", exclude={"seed", "subset"}), sort_keys=True)
        for stage, steps in one.result.stage_steps.items():
            seconds = one.result.stage_device_seconds[stage]
            if steps >= ENOUGH_STEPS and seconds >= ENOUGH_SECONDS:
                found.setdefault(f"{stage} {work}", []).append((steps / seconds, one, stage))
    return found


def _far(rates: Rates) -> list[UnitRecords]:
    """Those that differ most from the median, where the fastest and the slowest are too far apart."""
    speeds = [rate for rate, _, _ in rates]
    middle = median(speeds)
    if max(speeds) / min(speeds) <= LIMIT:
        return []
    return [one.records for rate, one, _ in rates if max(rate / middle, middle / rate) > math.sqrt(LIMIT)]


def _strangers(finished: Sequence[Finished], alike: Sequence[Rates]) -> str:
    """Hosts between which no equal work compares, "node1 and on node2, node3"; empty where all are linked."""
    islands = [{host} for host in {_host(one) for one in finished}]
    for rates in alike:
        linked = {_host(one) for _, one, _ in rates}
        touched = [island for island in islands if island & linked]
        islands = [island for island in islands if not island & linked] + [set().union(*touched)]
    return " and on ".join(", ".join(sorted(island)) for island in sorted(islands, key=sorted)) if islands[1:] else ""


def _host(one: Finished) -> str:
    return one.result.shown.get("host") or "a host that is not on record"


def _gap(rates: Rates) -> tuple[float, str]:
    """How far the fastest is ahead of the slowest, and that in words."""
    speeds = [rate for rate, _, _ in rates]
    _, one, stage = rates[0]
    gap = max(speeds) / min(speeds)
    where = f"{one.row}, {one.unit.labelled or 'all'} labelled, stage {stage}"
    return gap, f"{gap - 1:.0%} ({where}: {min(speeds):.3g} to {max(speeds):.3g} steps a device-second)"
