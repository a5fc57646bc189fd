"""submitit's batch files around a command of our own.

Not its pickled functions, for what its signal handlers do: SIGTERM is bypassed, so that preemption without grace time
loses everything; in jobs of ten minutes every signal counts as a time-out; and its SIGUSR2 would end a trial of a
search for good. And inside a container there is no scontrol to requeue with.
"""

from __future__ import annotations

from typing import Any

from submitit import SlurmExecutor


class BatchFile(SlurmExecutor):
    """Of submitit's executor the part that writes batch files, which needs no Slurm."""

    @classmethod
    def affinity(cls) -> int:
        """That there is no srun here must not keep anybody from seeing what would be submitted."""
        return 1

    def text(self, command: str, parameters: dict[str, Any]) -> str:
        """The file for a shell command, with submitit's names of parameters; None leaves one out."""
        self.parameters = {**parameters, "wckey": None, "use_srun": False, "stderr_to_stdout": True}
        return self._make_submission_file_text(command, uid="")
