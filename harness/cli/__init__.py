"""The command line: one file a verb, imported when the verb is called."""

from __future__ import annotations

import importlib
import os
import sys

import click

from harness.api.errors import HarnessError

VERBS = {
    "run": "Run a suite: train what is missing, test once, track, rank.",
    "plan": "Show what a suite would run, and what is done already. Runs nothing.",
    "unit": "Run one unit of a suite in this process (needs neither Ray nor MLflow).",
    "status": "Show how far a suite is.",
    "cancel": "Cancel what a suite has submitted to Slurm, and nothing else.",
    "leaderboard": "Compute the tables and the page of a suite from its per-case records.",
    "audit": "Say which rules of a fair comparison a suite holds, with the evidence from its records.",
    "reconcile": "Compare a suite's ledgers with what Slurm's accounting charged for it.",
    "track": "Mirror a suite's records into MLflow.",
    "data": "Prepare, verify and list data.",
    "list": "List methods, datasets and suites.",
    "replay": "Train a finished unit again from its recorded progress and compare the weights.",
    "clean": "Delete the checkpoints of finished units (shows what it would delete first).",
    "export": "Pack a suite's records, without weights, into one file to share.",
    "import": "Unpack records that somebody exported.",
    "doctor": "Check versions, device, disk, data, tracking and Slurm: what works and what does not.",
}


HIDDEN = ("slurm-task",)
"""Verbs that jobs call and nobody types."""


class LazyGroup(click.Group):
    """Knows every verb's name and help without importing it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of a user's day."""
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the verb's module, whose `command` is the verb."""
        if cmd_name not in (*VERBS, *HIDDEN):
            return None
        file = "import_" if cmd_name == "import" else cmd_name.replace("-", "_")
        module = importlib.import_module(f"harness.cli.{file}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of verbs, without importing any of them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="harness-ssl", prog_name="harness")
def cli() -> None:
    """Fair benchmarks of semi-supervised medical segmentation, under identical budgets.

    Exit codes: 0 done, 64 usage or suite, 65 data or records, 69 a service is missing, 70 a unit failed, 74 disk,
    75 interrupted (the same command goes on later), 76 a rule of fairness is not held, 130 stopped by hand.
    """


def complain(message: str) -> None:
    """A message on standard error; where that is a file on a full disk, the exit code must do."""
    try:
        print(message, file=sys.stderr)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def main() -> None:
    """Run the command line; a user's mistake is one message and an exit code, never a traceback."""
    # before anything imports torch: a waiting OpenMP thread must not burn the CPU that others are charged for
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        code = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        code = 130
    except click.ClickException as error:
        error.show()
        code = 64
    except HarnessError as error:
        complain(f"error: {error}")
        code = error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)
