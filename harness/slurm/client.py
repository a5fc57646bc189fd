"""Runs Slurm's commands, with a time limit and one clear message for each way they fail."""

import os
import re
import shutil
import subprocess
from typing import Literal

from harness.api.errors import ServiceError, UsageError

Command = Literal["sbatch", "squeue", "sacct", "scancel", "scontrol"]

TIMEOUT_SECONDS = 60.0
"""A busy controller takes seconds. If it is down, its commands retry for minutes."""

CLUSTERS = "SLURM_CLUSTERS"
KEPT = ("SLURM_CONF", "SLURM_JWT", CLUSTERS)
"""Variables that say where the cluster is, and as whom to connect."""

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
"""Parts of messages, in lower case, by which Slurm reports that one of its services is down."""


class SlurmRefusedError(UsageError):
    """Slurm refused a request: an unknown partition, an impossible size, a job that is gone.

    message: Slurm's own, without the command's name.
    """

    def __init__(self, command: Command, message: str) -> None:
        super().__init__(f"{command}: {message}")
        self.message = message


def ask(command: Command, *arguments: str, seconds: float = TIMEOUT_SECONDS) -> str:
    """The standard output of a Slurm command.

    Raises `ServiceError` where Slurm is not on the PATH or does not answer in time, `SlurmRefusedError` where it
    answers with an error, `UsageError` where SLURM_CLUSTERS names several clusters.
    """
    path = shutil.which(command)
    if path is None:
        raise ServiceError(f"{command} is not on the PATH: Slurm is not installed here; run this on a login node")
    late = (
        "; it is not known whether the job was taken, the same command again finds out" if command == "sbatch" else ""
    )
    try:
        done = subprocess.run(
            [path, *_named_cluster(command), *arguments],
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
    """The variables for a Slurm command, without SBATCH_*, which would override the batch file, or a format for times.

    sbatch passes its variables on to the job, so inside another job it gets none of SLURM_* but `KEPT`.
    """
    steering = ("SBATCH_", "SLURM_" if command == "sbatch" else "SLURM_TIME_FORMAT")
    return {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(steering)}


def _named_cluster(command: Command) -> tuple[str, ...]:
    """sacct alone does not read SLURM_CLUSTERS."""
    name = os.environ.get(CLUSTERS, "")
    if "," in name or name == "all":
        raise UsageError(f"{CLUSTERS}={name} names several clusters; set it to the one where the jobs are to run")
    return (f"--clusters={name}",) if name and command == "sacct" else ()


def ask_table(command: Command, fields: int, *arguments: str) -> list[list[str]]:
    """The lines of a command with so many fields, separated by '|': others are a site's banner."""
    lines = (line.split("|") for line in ask(command, *arguments).splitlines())
    return [line for line in lines if len(line) == fields]


def read_job(printed: str) -> str:
    """The job's number in what `sbatch --parsable` printed: the last line that is one, after a site's own words."""
    numbers = re.findall(r"^\s*(\d+)(?:;\S+)?\s*$", printed, re.MULTILINE)
    if not numbers:
        said = " ".join(printed.split())[:300] or "nothing"
        raise ServiceError(
            f"sbatch printed no job number but: {said}; it is not known whether the job was taken, the same "
            "command again finds out"
        )
    return str(numbers[-1])


def _refusal(command: Command, text: str, code: int) -> ServiceError | SlurmRefusedError:
    prefixes = re.compile(rf"(?:(?:{command}|error|fatal): )+")
    lines = [prefixes.sub("", line.strip(), count=1) for line in text.splitlines() if line.strip()]
    message = "; ".join(dict.fromkeys(lines)) or f"exit code {code} without a word"
    if any(phrase in message.lower() for phrase in UNREACHABLE):
        return ServiceError(f"{command}: {message}; Slurm cannot be asked now, nothing was changed")
    return SlurmRefusedError(command, message)
