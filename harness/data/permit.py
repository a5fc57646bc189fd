"""The evidence without which no test case is opened."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from harness.api.errors import ClosedSplitError, DiskError, InterruptedRunError, RecordError
from harness.records.files import read_record
from harness.records.scored import ScoredFolder, Use
from harness.records.suite_folder import Selection, candidates_digest

_guard: ContextVar[Callable[[str], None] | None] = ContextVar("guard", default=None)
"""Held for a thread, because code without access may find or build a cache object of its own."""


@contextmanager
def keep_closed(tell: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, this thread opens no test split; `tell` gets a message at each attempt."""
    token = _guard.set(tell)
    try:
        yield
    finally:
        _guard.reset(token)


def guard() -> Callable[[str], None] | None:
    """The function to call at an attempt to open the test split; None where nothing keeps it closed."""
    return _guard.get()


@dataclass(frozen=True, slots=True)
class ScoringPermit:
    """Says that this use of a dataset's test split is on record in `scored`."""

    scored: ScoredFolder
    use: Use

    def check(self) -> None:
        """Read the file now. Raises `ClosedSplitError` where it does not hold the use."""
        if self.use not in self.scored.uses():
            raise ClosedSplitError(f"the test split is closed: {self.scored.log.path} does not name this use")


@dataclass(frozen=True, slots=True)
class TestPermit:
    """Says that the selection names a run and that its checkpoint is final.

    selection: the run's selection.json.
    final:     what the run wrote after its last step, with the hash of weights that can no longer change.
    """

    __test__: ClassVar[bool] = False  # its name makes pytest take it for a test class

    selection: Path
    run: str
    final: Path

    def refuse_changed_selection(self) -> None:
        """Read the selection before the split is asked for: what befell it meanwhile is no violation.

        Raises `InterruptedRunError` where it is gone or names other runs alone, `RecordError` or `DiskError`.
        """
        if not self.selection.exists():
            raise InterruptedRunError(f"{self.selection} is not there now; put it back, then the same command goes on")
        if not self._named_in(read_record(self.selection, Selection)):
            raise InterruptedRunError(f"{self.selection} does not name this run any more")

    def check(self) -> None:
        """Read both files now. Raises `ClosedSplitError`, which names everything that is missing."""
        problems = []
        try:
            selection = read_record(self.selection, Selection)
            if not self._named_in(selection):
                problems.append(f"{self.selection}: does not name run {self.run[:10]}")
            elif selection.digest != candidates_digest(selection.candidates):
                problems.append(f"{self.selection}: its candidates are not those that it was made from")
        except (RecordError, DiskError) as error:
            problems.append(str(error))
        if not self.final.is_file():
            problems.append(f"{self.final}: the run's weights are not final yet")
        if problems:
            raise ClosedSplitError("\n".join(["the test split is closed:", *problems]))

    def _named_in(self, selection: Selection) -> bool:
        return any(entry.run == self.run for entry in selection.entries)
