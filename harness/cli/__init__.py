"""The command line: a file for each topic, imported when one of its verbs is called."""

import atexit
import gc
import importlib
import io
import logging
import os
import sys
from collections.abc import Sequence

import click

from harness.api.errors import HarnessError
from harness.records.untrusted_text import without_controls

VERBS = {
    "run": ("run", "Run a suite: train what is missing, test once, track, rank."),
    "plan": ("plan", "Show what a suite would run, and what is done already. Runs nothing."),
    "train": ("run", "Train one run of a suite in this process (needs neither Ray nor MLflow)."),
    "calibrate": ("calibrate", "Measure what a step of each entry costs, for a budget of reference steps."),
    "status": ("records", "Show how far a suite is."),
    "cancel": ("cluster", "Cancel what a suite has submitted to Slurm, and nothing else."),
    "leaderboard": ("records", "Compute the tables and the page of a suite from its per-case records."),
    "errors": ("author", "Print why runs failed, with the traceback of each."),
    "audit": ("records", "Say which rules of a fair comparison a suite holds, with the evidence from its records."),
    "predict": ("predict", "Segment new scans with finished runs: label maps in the scans' own geometry."),
    "reconcile": ("cluster", "Compare a suite's ledgers with what Slurm's accounting charged for it."),
    "score": ("sharing", "Score label maps from elsewhere on a test split; shown beside the ranked rows, recorded."),
    "track": ("records", "Mirror a suite's records into MLflow."),
    "data": ("data", "Prepare, verify and list data."),
    "check": ("check", "Try a method on small phantoms: which rules of the contract it keeps, and where it does not."),
    "list": ("data", "List methods, datasets and suites."),
    "new": ("author", "Write a method or a suite of your own to begin with."),
    "replay": ("run", "Train a finished run again from its recorded progress and compare the weights."),
    "clean": ("records", "Delete the checkpoints of finished runs (shows what it would delete first)."),
    "export": ("records", "Pack a suite's records into one file to share."),
    "import": ("records", "Unpack records that somebody exported."),
    "verify": ("records", "Compare every record and archive with its checksums, and name what is damaged."),
    "compare": ("sharing", "Show what differs between two suites' records or exports, cell by cell."),
    "collect": ("sharing", "Verify, audit and rank the exports of several contributors in a folder."),
    "completion": ("completion", "Print what lets a shell complete verbs, options, suites and folders."),
    "doctor": ("data", "Check versions, device, disk, data, tracking and Slurm: what works and what does not."),
}
"""Each verb's file and help. The file calls the verb's function VERB_command."""

HIDDEN = {"slurm-task": "cluster", "fork-server": "run"}
"""Verbs that jobs and drivers call and nobody types, with their files."""


class LazyGroup(click.Group):
    """Knows every verb's name and help without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of a user's day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's file."""
        file = VERBS[cmd_name][0] if cmd_name in VERBS else HIDDEN.get(cmd_name)
        if file is None:
            return None
        module = importlib.import_module(f"harness.cli.{file}")
        command: click.Command = getattr(module, f"{cmd_name.replace('-', '_')}_command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(verb, help_text) for verb, (_, help_text) in VERBS.items()])


class StderrHandler(logging.Handler):
    """Prints messages for people on standard error, so that standard output stays a table."""

    def emit(self, record: logging.LogRecord) -> None:
        """The bare message; from a warning on, with its level before it."""
        level = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        complain(f"{level}{self.format(record)}")


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("-v", "--verbose", is_flag=True, help="Print debug messages too, each with the name of its logger.")
@click.option("--quiet", is_flag=True, help="Print warnings and errors alone.")
@click.version_option(package_name="harness-ssl", prog_name="harness")
def cli(verbose: bool, quiet: bool) -> None:
    """Fair benchmarks of semi-supervised medical segmentation, under identical budgets.

    Exit codes: 0 done, 64 usage or suite, 65 data or records, 69 a service is missing, 70 a run failed, 74 disk,
    75 interrupted (the same command goes on later), 76 a rule of fairness is not held, 77 a method does not
    keep the contract, 130 stopped by hand.
    """
    handler = StderrHandler()
    if verbose:
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logger = logging.getLogger("harness")
    logger.handlers = [handler]  # one, however often this is called in a process
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)


def complain(message: str) -> None:
    """A message on standard error; where that is a file on a full disk, the exit code must do."""
    try:
        print(without_controls(message), file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def _prepare_process() -> None:
    """Settings of this process that must be made before anything imports torch."""
    # a waiting OpenMP thread must not burn the CPU that others are charged for
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ["MPLBACKEND"] = "agg"  # a notebook names its own for its commands too, which matplotlib may not know
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that knows no Unicode gets other characters, not an error
            stream.reconfigure(errors="replace")
    atexit.register(gc.freeze)  # Python's last collections would walk all of torch, half a second in each process
    logging.getLogger("harness").propagate = False  # MLflow's migrations give the root logger a handler of its own


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and exit; a user's mistake is one message and an exit code, never a traceback.

    arguments: None takes those of this process.
    """
    _prepare_process()
    try:
        code = cli.main(arguments, standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as left:
        code = 0 if left.code == 1 else left.code  # with 1 click and rich leave when nobody reads on: `| head -1`
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 64
    except HarnessError as error:
        complain(f"error: {error}")
        code = error.exit_code
    except ModuleNotFoundError as error:  # another Python than the one that the packages were installed for
        mend = "`make venv` installs all in .venv/bin/python"
        complain(f"error: {error.name} is not installed for {sys.executable}; {mend}")
        code = 69
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except OSError as error:  # of a file that no other place speaks for
        if error.filename is None:
            raise
        complain(f"error: cannot read or write {error.filename}: {error.strerror}")
        code = 74
    sys.exit(code if isinstance(code, int) else 0)
