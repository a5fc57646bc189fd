"""The evidence without which no test case is opened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pydantic import ValidationError

from harness.spec.errors import ClosedSplitError
from harness.spec.records import Selection


@dataclass(frozen=True, slots=True)
class TestPermit:
    """Says that the selection is recorded and that a unit's checkpoint is final.

    selection:  the run's selection.json.
    checkpoint: the unit's checkpoint, after its last step.
    """

    __test__: ClassVar[bool] = False  # its name makes pytest take it for a test class

    selection: Path
    checkpoint: Path

    def check(self) -> None:
        """Look at both files now. Raises `ClosedSplitError` naming everything that is missing."""
        problems = self._selection_problems()
        if not self.checkpoint.is_file():
            problems.append(f"{self.checkpoint}: the unit has no checkpoint yet")
        if problems:
            raise ClosedSplitError("\n".join(["the test split is closed:", *problems]))

    def _selection_problems(self) -> list[str]:
        try:
            Selection.model_validate_json(self.selection.read_bytes())
        except FileNotFoundError:
            return [f"{self.selection}: the selection is not recorded yet"]
        except (OSError, ValidationError):
            return [f"{self.selection}: not a readable selection record"]
        return []
