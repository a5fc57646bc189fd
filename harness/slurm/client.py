"""Asks Slurm: the one place that runs its commands, with a time limit and one clear message for each way they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import Literal

from harness.api.errors import ServiceError, UsageError

Command = Literal["sbatch", "squeue", "sacct", "scancel", "scontrol"]

TIMEOUT_SECONDS = 60.0
"""A busy controller takes seconds; one that is gone makes its clients try for minutes."""

KEPT = ("SLURM_CONF", "SLURM_JWT")
"""Where the cluster is, and who asks."""

UNREACHABLE = (
    "unable to contact slurm",
    "could not establish a configuration source",
    "connection refused",
    "communication connection failure",
    "socket timed out",
    "munge",
    "authentication",
    "accounting storage is disabled",
    "slurmdbd",
    "unable to process configuration file",
)
"""What Slurm says, in lower case, where a service of its own is the trouble and not the question."""


class SlurmRefusedError(UsageError):
    """Slurm answered, and said no: an unknown partition, an impossible request, a job that is gone.

    said: its own words, without the command's name.
    """

    def __init__(self, command: Command, said: str) -> None:
        super().__init__(f"{command}: {said}")
        self.said = said


def ask(command: Command, *arguments: str, seconds: float = TIMEOUT_SECONDS) -> str:
    """What a Slurm command prints on standard output.

    seconds: how long it may take.

    Raises:
        ServiceError: Slurm is not on the PATH, its controller (or accounting) does not answer, or not in time.
        SlurmRefusedError: it answered with an error.
    """
    path = find(command)
    late = "; it is not known whether the job was taken, `harness run` again finds out" if command == "sbatch" else ""
    try:
        done = subprocess.run(
            [path, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
            env=environment_of(command),
        )
    except subprocess.TimeoutExpired:
        raise ServiceError(f"{command} has not answered for {seconds:.0f} s; is Slurm's controller up?{late}") from None
    except OSError as error:
        raise ServiceError(f"{command} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise _refusal(command, done.stderr or done.stdout, done.returncode)
    return done.stdout


def environment_of(command: Command) -> dict[str, str]:
    """What a command of Slurm's gets of this process's variables: SBATCH_* would go before what a batch file asks for.

    sbatch hands its variables on to the job, so of those of the job that it runs in it gets alone what reaches Slurm.
    """
    steering = ("SBATCH_", "SLURM_") if command == "sbatch" else ("SBATCH_",)
    return {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(steering)}


def find(command: Command) -> str:
    """Path of a Slurm command. Raises `ServiceError` where Slurm is not installed."""
    path = shutil.which(command)
    if path is None:
        raise ServiceError(f"{command} is not on the PATH: Slurm is not installed here; run this on a login node")
    return path


def table(command: Command, *arguments: str) -> list[list[str]]:
    """Lines of a command that separates its fields by '|', as fields."""
    return [line.split("|") for line in ask(command, *arguments).splitlines() if line]


def _refusal(command: Command, text: str, code: int) -> ServiceError | SlurmRefusedError:
    lines = [_without_prefix(command, line) for line in text.strip().splitlines() if line.strip()]
    said = "; ".join(dict.fromkeys(lines)) or f"exit code {code} without a word"
    if any(phrase in said.lower() for phrase in UNREACHABLE):
        return ServiceError(f"{command}: {said}; Slurm cannot be asked now, nothing was changed")
    return SlurmRefusedError(command, said)


def _without_prefix(command: Command, line: str) -> str:
    """`sbatch: error: Batch job ...` -> `Batch job ...`."""
    for prefix in (f"{command}: ", "error: ", "fatal: "):
        line = line.strip().removeprefix(prefix)
    return line
