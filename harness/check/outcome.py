"""What a line of the check comes to."""

from dataclasses import dataclass
from typing import Literal

State = Literal["passed", "failed", "does not apply"]


class FaultError(Exception):
    """What a line found.

    place: where to mend it, as file:line; empty where the line's own hook is the place.
    """

    def __init__(self, reason: str, place: str = "") -> None:
        super().__init__(reason)
        self.place = place


class NotApplicableError(Exception):
    """Why a line says nothing of this method."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A line of the report; place: file:line of what is wrong, empty where nothing is, or where no file has it."""

    line: str
    state: State
    text: str
    place: str = ""
