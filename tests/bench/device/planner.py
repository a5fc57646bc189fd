"""Runs parts of a benchmark one after the other, inside given minutes; each in a process, whose rows count at once.

A part prints rows, one line of JSON each. One that fails or is stopped keeps what it has printed, and takes none of the
others with it: a CUDA error ends a process for good.
"""

import json
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

GRACE_SECONDS = 15.0
"""For a part that was asked to stop; then it is killed."""

Row = dict[str, Any]


class Part(NamedTuple):
    """A process that measures something; it is not started without its expected seconds left."""

    name: str
    command: Sequence[str]
    expected_seconds: float


@dataclass
class Planner:
    """Keeps rows and says what became of each part.

    Attributes:
        seconds: Of all parts together.
        write: Called with all rows and outcomes after each row and each part, so that a kill loses nothing.
    """

    seconds: float
    write: Callable[[Sequence[Row], Mapping[str, str]], None]
    rows: list[Row] = field(default_factory=list)
    outcomes: dict[str, str] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self._began)

    def run(self, part: Part) -> None:
        left = self.left - GRACE_SECONDS
        if left < part.expected_seconds:
            outcome = f"left out: takes about {part.expected_seconds:.0f} s, {max(left, 0):.0f} s were left"
        else:
            began = time.monotonic()
            code = self._rows_of(part, left)
            seconds = time.monotonic() - began
            ended = "stopped after " if seconds >= left else f"exit code {code} after " if code else ""
            outcome = f"{ended}{seconds:.0f} s"
        self.outcomes[part.name] = outcome
        self.write(self.rows, self.outcomes)

    def _rows_of(self, part: Part, limit_seconds: float) -> int:
        command = ["timeout", f"--kill-after={GRACE_SECONDS}", str(limit_seconds), *part.command]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("{"):
                    self.rows.append({"part": part.name, **json.loads(line)})
                    self.write(self.rows, self.outcomes)
        return process.returncode
