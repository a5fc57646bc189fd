"""The rungs of a ladder side by side: what its picture is drawn from."""

from harness.leaderboard.break_even import find_baselines, ladders
from harness.leaderboard.leaderboard import Leaderboard
from harness.report.columns import Json, columns


def ladder_content(board: Leaderboard) -> Json | None:
    """A picture per ladder and labelled count, and all leads over the baselines; None without a ladder."""
    pictures = [
        {
            "ladder": number,
            "labelled": labelled,
            "title": f"{labelled} labelled patients",
            "tables": [comparison.number for comparison in ladder],
            "rungs": [comparison.rung for comparison in ladder],
            "baselines": [cell.rpartition("@")[0] for cell in find_baselines(ladder, labelled)],
        }
        for number, ladder in enumerate(ladders(board.inputs), start=1)
        for labelled in sorted({count for each in ladder for count in each.labelled_counts if count is not None})
    ]
    return {"pictures": pictures, "leads": columns(board.break_even)} if pictures else None
