"""How long units will take on the cluster: as the cluster file says, as finished ones took, or by a plain factor."""

from __future__ import annotations

from collections.abc import Sequence

from harness.execution.estimate import cost_of, typical_rates
from harness.records.reader import SuiteRecords
from harness.records.schema import Unit
from harness.records.status import share_of
from harness.slurm.bundles import Bundle, Room, bundle
from harness.slurm.cluster import LoadedCluster

OVERHEAD = 1.5
"""Wall seconds per device second where nothing was measured yet: validations, checkpoints, tests, a busy node."""
UNIT_START_SECONDS = 30.0
"""From the start of a unit's process to its first step."""


def make_bundles(
    units: Sequence[Unit], names: Sequence[str], records: SuiteRecords, loaded: LoadedCluster
) -> list[Bundle]:
    """Bundles of `units` that fit the cluster's time limit.

    names: what people call the units. A unit of unknown length (steps, none finished yet) gets a lane of its own.
    Raises `UsageError` where one unit does not fit.
    """
    cluster = loaded.cluster
    room = _room(loaded, cluster.time)
    if room.seconds <= 0:
        raise loaded.error("time", f"{cluster.time} minutes leave no room for a unit after start and last checkpoint")
    known = expected_seconds(units, records, loaded)
    seconds = [room.seconds if expected is None else expected for expected in known]
    try:
        return bundle(seconds, room, cluster.max_parallel)
    except ValueError as error:
        longest = int(error.args[0])
    needed = next(
        minutes for minutes in range(cluster.time, 10**7) if _room(loaded, minutes).seconds >= seconds[longest]
    )
    raise loaded.error(
        "time",
        f"too short for one unit: {names[longest]} ({units[longest].budget}) is expected to take "
        f"{seconds[longest] / 60:.0f} minutes, {cluster.time} minutes leave {room.seconds / 60:.0f} after its start, "
        f"a margin and the last checkpoint; set time: {needed} or more, or unit_time if you know better",
    )


def _room(loaded: LoadedCluster, minutes: int) -> Room:
    """What a task with this time limit has for its units."""
    cluster = loaded.cluster.model_copy(update={"time": minutes})
    return Room.within(minutes * 60.0, cluster.warning_seconds, cluster.units_at_once)


def expected_seconds(units: Sequence[Unit], records: SuiteRecords, loaded: LoadedCluster) -> list[float | None]:
    """Wall seconds of what is left of each unit, its start included; None where nothing is known."""
    shares = [1.0 - share_of(unit.budget, records.run(unit.id).spent) for unit in units]
    if loaded.cluster.unit_time is not None:
        return [loaded.cluster.unit_time * 60.0 * share for share in shares]
    rates = typical_rates(records)
    expected: list[float | None] = []
    for unit, share in zip(units, shares, strict=True):
        rate = rates.get(cost_of(unit), OVERHEAD if unit.budget.device_seconds is not None else None)
        expected.append(None if rate is None else unit.budget.amount * rate * share + UNIT_START_SECONDS)
    return expected
