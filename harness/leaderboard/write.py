"""The leaderboard's files, each written atomically and rebuilt from the records at any time."""

from __future__ import annotations

from pathlib import Path

from harness.leaderboard.figure import draw_curves
from harness.leaderboard.leaderboard import Leaderboard
from harness.leaderboard.notes import MINI
from harness.leaderboard.render import markdown
from harness.records.files import write_atomic, write_text


def write_leaderboard(leaderboard: Leaderboard, folder: Path) -> tuple[Path, ...]:
    """Write csv, markdown and picture; the same records give the same bytes.

    Args:
        leaderboard: What `build_leaderboard` returned.
        folder: Where the files go; created if need be. A suite's own is `RUNS/<suite>/leaderboard`.

    Returns:
        The files written: one csv per table, then leaderboard.md and curves.png.

    Raises:
        DiskError: `folder` cannot be written.
    """
    csv_files = {folder / f"{name}.csv": frame for name, frame in leaderboard.tables.items()}
    for path, frame in csv_files.items():
        write_text(path, frame.to_csv(index=False, lineterminator="\n"))
    write_text(folder / "leaderboard.md", markdown(leaderboard))
    title = f"{leaderboard.suite} ({MINI})" if leaderboard.suite.endswith("_mini") else leaderboard.suite
    write_atomic(folder / "curves.png", lambda path: draw_curves(leaderboard.curves, title, path))
    return (*csv_files, folder / "leaderboard.md", folder / "curves.png")
