"""Shows what methods drew of themselves when training ended. The stored PNGs are copied; no method's code runs."""

from __future__ import annotations

import logging
from pathlib import Path

from harness.api.errors import RecordError
from harness.records.figures import Figure
from harness.records.files import write_bytes
from harness.records.reader import RunRecord, SuiteRecords

log = logging.getLogger(__name__)


def read_figures(run: RunRecord) -> tuple[Figure, ...]:
    """The figures of a run; those that cannot be read cost a warning."""
    try:
        return run.read_figures()
    except RecordError as error:
        log.warning("left out: %s", error)
        return ()


def write_figures(records: SuiteRecords) -> tuple[Path, ...]:
    """Copy the figures of the planned runs to leaderboard/figures/RUN-NAME.png; those of an earlier selection go.

    Returns the paths. Raises `DiskError`.
    """
    folder = records.store.leaderboard / "figures"
    written = []
    for entry, run in records.selected:
        for figure in read_figures(run):
            path = folder / f"{str(entry.slot).replace('/', '-')}-{figure.name}.png"
            write_bytes(path, figure.png)
            written.append(path)
    for path in set(folder.glob("*.png")) - set(written):
        path.unlink()
    return tuple(written)
