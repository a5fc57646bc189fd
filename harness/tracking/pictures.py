"""Pictures of a unit as artifacts of its run; whoever calls brings the pencil, since drawing is not this room's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from harness.records.run_folder import UnitFolder
from harness.tracking.content import Artifact, RunContent

Draw = Callable[[UnitFolder, Path], Sequence[Path]]
"""Draws what there is to see of a unit into a folder, and says which files it wrote there."""


@contextmanager
def with_pictures(content: RunContent, folder: UnitFolder, draw: Draw | None) -> Iterator[RunContent]:
    """The run with the unit's pictures among its artifacts; these exist only inside the context."""
    if draw is None:
        yield content
        return
    with tempfile.TemporaryDirectory(prefix="harness-track-") as name:
        yield replace(content, artifacts=(*content.artifacts, *map(Artifact, draw(folder, Path(name)))))
