"""Mirrors records into MLflow 3: a view with one writer, rebuilt from the records at any time.

An experiment per suite. In it a run for the suite (leaderboard as a table, its files, the page), below it one per entry
(means of the finals, their settings), below these one per run. Every run says what it is in `harness.role` (suite,
method, final, search), so `tags.harness.role = 'search' AND tags.method = 'ua_mt'` is a filter.

MLflow is imported by the functions that need it, so all else runs where it is not installed. Tracking changes nothing
of the process but the variables of `service.PROCESS_ENVIRONMENT`.
"""

from harness.tracking.mirror import TrackReport, track
from harness.tracking.parents import leaderboard_is_current
from harness.tracking.service import check_tracking

__all__ = ["TrackReport", "check_tracking", "leaderboard_is_current", "track"]
