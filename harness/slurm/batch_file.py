"""submitit's batch files around a command of our own.

The harness does not use submitit's pickled functions because of their signal handlers. They ignore SIGTERM, so that
preemption without grace time loses everything. In jobs of ten minutes they take every signal for a time-out. Their
SIGUSR2 would end a trial of a search for good. Inside a container they have no scontrol to requeue with.
"""

from __future__ import annotations

from typing import Any

from submitit import SlurmExecutor


class BatchFile(SlurmExecutor):
    """The part of submitit's executor that writes batch files, which needs no Slurm."""

    @classmethod
    def affinity(cls) -> int:
        """Always usable, so that a plan shows its batch files on machines without srun, too."""
        return 1

    def text(self, command: str, parameters: dict[str, Any]) -> str:
        """Return the file for a shell command, with submitit's names of parameters; None leaves one out."""
        self.parameters = {**parameters, "wckey": None, "use_srun": False, "stderr_to_stdout": True}
        return self._make_submission_file_text(command, uid="")
