"""Checks before submitting: the partitions exist, and allow the time that the cluster file asks for."""

from __future__ import annotations

import re

from harness.api.names import suggest
from harness.slurm.client import ask
from harness.slurm.cluster import LoadedCluster, minutes

FIELDS = re.compile(r"(\w+)=(\S*)")


def check_partitions(loaded: LoadedCluster) -> None:
    """Check partitions and times by one call of scontrol. Raises `UsageError` with the line of the wrong field.

    Slurm itself accepts a job that is too long for its partition, and lets it wait for ever.
    """
    cluster, known = loaded.cluster, read_partitions(ask("scontrol", "--oneliner", "show", "partition"))
    requests = [("partition", cluster.partition, cluster.time)]
    if cluster.finish is not None and cluster.finish.partition is not None:
        requests.append(("finish", cluster.finish.partition, cluster.finish.time))
    for field, name, time in requests:
        if name is None:
            continue
        for partition in name.split(","):  # Slurm takes whichever of several starts first
            if partition not in known:
                raise loaded.error(field, f"unknown partition {partition!r}; {suggest(partition, known)}")
            most = known[partition]
            if most is not None and time > most:
                where = "time" if field == "partition" else field
                raise loaded.error(where, f"partition {partition} ends jobs after {most} minutes; {time} are asked for")


def read_partitions(text: str) -> dict[str, int | None]:
    """Return partition -> the most minutes of a job, None without a limit."""
    limits: dict[str, int | None] = {}
    for line in text.splitlines():
        fields = dict(FIELDS.findall(line))
        if "PartitionName" in fields:
            limit = fields.get("MaxTime", "UNLIMITED")
            whole = None if limit in ("UNLIMITED", "NONE", "") else minutes(limit)
            limits[fields["PartitionName"]] = whole if isinstance(whole, int) else None
    return limits
