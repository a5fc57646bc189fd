"""What `run` and `plan` do with --executor slurm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.errors import InterruptedRunError, ServiceError, UsageError
from harness.cli.options import say
from harness.cli.tables import Printed, duration, print_table

if TYPE_CHECKING:
    from harness.execution.dry_run import Outlook
    from harness.records.schema import Unit
    from harness.slurm.cluster import LoadedCluster
    from harness.slurm.draft import Draft
    from harness.slurm.run import SlurmRun

cluster_option = click.option(
    "--cluster",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="With --executor slurm: what jobs ask for, as in slurm/cluster.example.yaml.",
)


def load_asked(
    suite: str,
    executor: str,
    cluster: Path | None,
    workers: int | None,
    ray_address: str | None = None,
    *,
    there: bool = False,
) -> LoadedCluster | None:
    """The cluster file, None for other executors. Raises `UsageError` for options that do not belong together.

    there: called by a job, in whose container the paths of the file may not be seen.
    """
    if executor != "slurm":
        if cluster is not None:
            raise UsageError("--cluster is read with --executor slurm alone")
        return None
    if cluster is None:
        raise UsageError("--executor slurm needs --cluster FILE; slurm/cluster.example.yaml is one to begin with")
    if workers is not None:
        raise UsageError("--workers has no meaning on a cluster; max_parallel and units_at_once in its file have")
    if ray_address is not None:
        raise UsageError("--ray-address names a Ray, which --executor slurm does not use; leave out one of them")
    from harness.slurm.cluster import load_cluster, refuse_adaptive
    from harness.suite.load import load_suite

    loaded = load_cluster(cluster, check_paths=not there)
    refuse_adaptive(load_suite(suite), suite)
    return loaded


def nothing_to_submit(loaded: LoadedCluster, suite: str, runs: Path, *, finishing: bool) -> bool:
    """What can be told before minutes of preparing data: whether a job behind arrays comes too late to do anything.

    Raises `UsageError` for partitions that do not exist or end jobs too early.
    """
    if not finishing:
        from harness.slurm.partitions import check_partitions

        check_partitions(loaded)
        return False
    from harness.slurm.run import superseded

    late = superseded(suite, runs)
    if late:
        say(f"{suite}: a later version of the suite was run; nothing to do")
    return late


def tell(done: SlurmRun, suite: str, runs: Path) -> int:
    """Say what waits and how to follow it; the exit code."""
    if done.queued:
        say(f"{done.session.store.root}: {done.session.outlook}; {done.queued} wait or run")
        say(f"watch: harness status --suite {suite} --runs {runs} --watch 60")
        say(f"stop:  harness cancel --suite {suite} --runs {runs}")
    if done.named:
        say(f"{done.missing} finals were named in a container, which submits nothing; `harness run` again submits them")
    elif done.missing:
        say(f"{done.missing} units have no result and are in no job; `harness run` submits them again")
    return InterruptedRunError.exit_code if done.missing and not done.named else 0


def with_jobs(outlook: Outlook) -> Outlook:
    """The outlook with what waits or runs on the cluster; a plan is shown without that where Slurm does not answer."""
    from harness.slurm.view import with_queued

    try:
        return with_queued(outlook)
    except ServiceError as error:
        say(f"queued: unknown, {error}")
        return outlook


def show_plan(outlook: Outlook, loaded: LoadedCluster) -> None:
    """What the units to submit cost, their bundles, and the batch files: on standard output, below the plan's table."""
    from harness.slurm.draft import Drafter

    states = outlook.states or {}
    units = [unit for unit in outlook.pending if states.get(unit.id) not in ("queued", "running")]
    cache = outlook.cache
    drafter = Drafter(outlook.plan, outlook.store, Path() if cache is None else cache.folder, loaded)
    drafts = drafter.arrays(units)
    click.echo()
    print_table(*hours_table(outlook, units, loaded))
    click.echo()
    print_table(*bundle_table(outlook, drafts))
    last = drafter.finish(len(drafts)) if drafts and cache is not None else None
    for draft in [*drafts, *([last] if last else [])]:
        click.echo(f"\n{draft.text.rstrip()}")
    if loaded.cluster.mixes_gpus:
        say("note: neither gpu_type nor constraint is set; results of different GPU models never share a table")
    say("nothing was submitted")


def hours_table(outlook: Outlook, units: Sequence[Unit], loaded: LoadedCluster) -> Printed:
    """A row per method: units to submit, their budget and what they are expected to hold, in hours of a GPU or core."""
    from harness.slurm.expected import expected_seconds

    what = "GPU-hours" if loaded.cluster.gpus else "core-hours"
    expected = dict(zip((unit.id for unit in units), expected_seconds(units, outlook.store, loaded), strict=True))
    of_row = {one.unit.id: one.row for one in reversed(outlook.plan.asked()) if one.unit is not None}
    rows: list[Sequence[str]] = []
    for row in [*dict.fromkeys(of_row[unit.id] for unit in units), "all"]:
        own = [unit for unit in units if row in ("all", of_row[unit.id])]
        budgets = _hours([unit.budget.device_seconds for unit in own])
        rows.append((row, str(len(own)), budgets, _hours([expected[unit.id] for unit in own])))
    return ("method", "to submit", f"budget in {what}", f"expected {what}"), rows, "lrrr"


def _hours(seconds: Sequence[float | None]) -> str:
    known = [one for one in seconds if one is not None]
    return f"{sum(known) / 3600:.2f}" if len(known) == len(seconds) else "unknown"


def bundle_table(outlook: Outlook, drafts: Sequence[Draft]) -> Printed:
    """A row per array task."""
    names = outlook.plan.names
    rows: list[Sequence[str]] = []
    for number, draft in enumerate(drafts):
        for index, bundle in enumerate(draft.bundles):
            units = draft.submission.bundles[index]
            shown = ", ".join(names[unit] for unit in units[:3]) + (", ..." if len(units) > 3 else "")
            rows.append((f"{number}_{index}", str(len(units)), duration(bundle.seconds), shown))
    return ("task", "units", "expected", "which"), rows, "lrrl"
