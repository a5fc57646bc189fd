"""Shows what methods drew of themselves when training ended. The stored PNGs are copied; no method's code runs."""

import base64
import logging
from dataclasses import dataclass
from pathlib import Path

from harness.api.errors import RecordError
from harness.records.artifacts import Figure
from harness.records.files import is_there, write_bytes
from harness.records.reader import RunRecord, SuiteRecords
from harness.records.schema import PlannedRun

log = logging.getLogger(__name__)

MAX_PAGE_BYTES = 3_000_000
"""Of all pictures in the page, as PNG files."""


@dataclass(frozen=True)
class Gallery:
    """The figures on record.

    pictures: (caption, data URI) of those that the page shows.
    files:    all of them, in the leaderboard's folder.
    """

    pictures: tuple[tuple[str, str], ...]
    files: tuple[Path, ...]


def copy_figures(records: SuiteRecords) -> Gallery:
    """Copy the figures of the planned runs to leaderboard/figures/RUN-NAME.png, and remove those of other runs.

    The page gets them while there is room, the first run of each method and labelled count first. A figure that cannot
    be read costs a warning. Raises `DiskError`.
    """
    folder = records.store.leaderboard / "figures"
    pictures, files, room = [], [], MAX_PAGE_BYTES
    entries = records.require_selection().entries
    for entry in sorted(entries, key=lambda entry: (entry.planned_run.subset, entry.planned_run.seed)):
        if not is_there(records.root / "runs" / entry.run / "figures"):
            continue
        run = records.run(entry.run)
        for figure in _read(run):
            files.append(folder / f"{str(entry.planned_run).replace('/', '-')}-{figure.name}.png")
            write_bytes(files[-1], figure.png)
            if len(figure.png) <= room:
                room -= len(figure.png)
                source = f"data:image/png;base64,{base64.b64encode(figure.png).decode()}"
                pictures.append((f"{_label(run, entry.planned_run)}: {figure.caption}", source))
    for path in set(folder.glob("*.png")) - set(files):
        path.unlink()
    return Gallery(tuple(pictures), tuple(files))


def _label(run: RunRecord, planned: PlannedRun) -> str:
    rung = "" if planned.rung is None else f", {planned.rung} reference steps"
    return run.run.label_in(planned.entry) + rung


def _read(run: RunRecord) -> tuple[Figure, ...]:
    try:
        return run.folder.figures()
    except RecordError as error:
        log.warning("left out: %s", error)
        return ()
