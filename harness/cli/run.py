"""What trains: `harness run` for a suite, `train` and `replay` for one run in this process."""

import logging
import shlex
from pathlib import Path
from typing import Literal, TypedDict, Unpack

import click

from harness import pipeline
from harness.api.errors import RunFailedError
from harness.cli import options
from harness.cli.cluster import check_options, report_slurm_run
from harness.cli.records import print_leaderboard
from harness.records.reader import SuiteRecords
from harness.suite.load import HASH, load_suite

log = logging.getLogger(__name__)


class Asked(TypedDict):
    """Options that mean the same on this machine and on Slurm, by the names of `run_suite` and `submit_suite`."""

    data: Path | None
    runs: Path
    rung: int | None
    reuse: Path | None
    retry_failed: bool
    yes: bool
    checkpoint_seconds: float


@click.command("run")
@options.suite_option
@options.data_option
@options.runs_option
@options.rung_option
@options.panels_option
@options.tracking_option
@click.option(
    "--executor",
    type=click.Choice(["auto", "inline", "ray", "slurm"]),
    default="auto",
    help="Where runs are trained: in this process, on a Ray, in Slurm's jobs; auto: in processes of this machine, and "
    "searches on Ray Tune where Ray is installed.",
)
@options.cluster_option
@options.workers_option
@click.option(
    "--ray-address",
    help="Train on a Ray that is up: HOST:PORT, or a file that holds it; default: one of our own on this machine.",
)
@click.option("--no-track", is_flag=True, help="Do not mirror records into MLflow.")
@click.option(
    "--reuse",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of another suite's records; runs that it has finished are taken over instead of trained again.",
)
@click.option("--retry-failed", is_flag=True, help="Train runs again that ended with a failure record.")
@click.option("--yes", is_flag=True, help="Start even where the runs are expected to take more than 48 device-hours.")
@options.checkpoint_option
def run_command(
    suite: str,
    executor: Literal["auto", "inline", "ray", "slurm"],
    cluster: Path | None,
    workers: int | None,
    ray_address: str | None,
    panels: bool | None,
    no_track: bool,
    tracking_uri: str | None,
    **asked: Unpack[Asked],
) -> int:
    """Train what is missing under one budget, test once, track and rank. The same command goes on after any stop.

    With --executor slurm it submits the runs that are missing and in no job, and returns. Once all have ended, it ranks
    and tracks. A suite that has to be calibrated first gets a job for that, and one after it that submits the runs.
    """
    check_options(executor, cluster, workers, ray_address)
    if executor == "slurm":
        assert cluster is not None, "without a cluster file this executor is refused"
        submitted = pipeline.submit_suite(suite, cluster=cluster, panels=panels, **asked)
        if not submitted.over:
            return report_slurm_run(submitted)
        records = SuiteRecords(submitted.session.store)
        leaderboard = pipeline.write_views(records, None if panels is False else submitted.session.cache)
        if not no_track:
            pipeline.track_or_warn(records, tracking_uri)
    else:
        try:
            leaderboard = pipeline.run_suite(
                suite,
                executor=executor,
                workers=workers,
                ray_address=ray_address,
                panels=panels is not False,
                track=not no_track,
                tracking_uri=tracking_uri,
                **asked,
            )
        except pipeline.UnfinishedSuiteError as unfinished:
            if unfinished.leaderboard is not None:
                print_leaderboard(unfinished.leaderboard)
            log.info(unfinished)
            return unfinished.exit_code
    print_leaderboard(leaderboard)
    if not pipeline.has_failed_runs(leaderboard):
        return 0
    records_of = asked["runs"] / load_suite(suite).suite.name
    log.info("some runs failed: `harness errors %s` prints their tracebacks", shlex.quote(str(records_of)))
    return RunFailedError.exit_code


@click.command("train")
@click.argument("run")
@options.suite_option
@options.data_option
@options.runs_option
@options.checkpoint_option
def train_command(run: str, suite: str, data: Path | None, runs: Path, checkpoint_seconds: float) -> int:
    """Train RUN of a suite, from its checkpoint if it has one; returns at once if it is done.

    RUN is an id, the beginning of one, ENTRY/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1; on a ladder
    with the rung, ua_mt/7/0/1/2000), or a trial of the suite's search, ENTRY/trial/STUDY/POINT.
    """
    from harness.execution.inline import run_inline
    from harness.execution.outcome import Outcome
    from harness.execution.process import BUSY, parent_and_allowance
    from harness.execution.session import join_session, open_session
    from harness.train.run import RunSettings
    from harness.train.stop import StopFlag

    if HASH.fullmatch(run):  # as a driver asks
        session = join_session(load_suite(suite), data, runs)
        named = session.store.by_id(run).run
    else:
        session = open_session(load_suite(suite), data, runs, measure=False)
        named = session.find(run)
    with StopFlag().on_signals() as stop:
        parent, allowance = parent_and_allowance()
        settings = RunSettings(checkpoint_seconds, parent, stop, allowance=allowance)
        outcome = next(run_inline(session, [named], settings), Outcome(named.id, "interrupted", stop.reason, 75))
    log.info(f"{session.name_of(named)}: {outcome.status}{': ' if outcome.message else ''}{outcome.message}")
    return BUSY if outcome.status == "busy" else outcome.exit_code


@click.command("replay")
@options.records_argument
@click.argument("run")
@options.data_option
def replay_command(records: SuiteRecords, run: str, data: Path | None) -> None:
    """Train RUN of the suite in FOLDER again from its recorded progress, and compare the weights bit by bit.

    RUN is ENTRY/LABELLED/SUBSET/SEED (ua_mt/7/0/1, supervised_full/all/0/1), its id or the beginning of it. Writes no
    record. The same processor model, torch build and thread count give the same weights. If they differ, the exit code
    is 70 and the message says what is different here.
    """
    record = records.find(run)  # a typo is refused before torch is loaded

    from harness.train.replay import check_replay
    from harness.train.stop import StopFlag

    with StopFlag().on_signals() as stop:
        replayed = check_replay(record, data, stop)
    click.echo(f"recorded  {replayed.recorded}\nreplayed  {replayed.replayed}")
    replayed.check()
    log.info(f"{record.run.label}: bitwise equal")


@click.command("fork-server")
@click.argument("channel", type=int)
def fork_server_command(channel: int) -> None:
    """Fork a process for each run that a driver orders on socket CHANNEL: it becomes `harness train`."""
    import gc
    import socket

    import harness.execution.inline
    import harness.execution.session  # noqa: F401 - what `train` imports
    from harness.cli import main
    from harness.execution.fork_server import Server
    from harness.suite.registry import dataset_sources, method_sources
    from harness.train.environment import commit

    for remembered in (dataset_sources, method_sources, commit):  # each run would look them up
        remembered()
    gc.freeze()  # a collection would touch, and so copy, all pages that the processes share
    Server(socket.socket(fileno=channel), main).serve()
