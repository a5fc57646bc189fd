"""Mirrors records into MLflow 3: a view with one writer, rebuilt from the records at any time.

An experiment per suite; in it a run for the suite, below it one per entry, below these one per run. Tag `harness.role`
says which (suite, method, final, search). MLflow is imported by the functions that need it. Tracking changes nothing of
the process but the variables of `service.PROCESS_ENVIRONMENT`.
"""

from harness.tracking.mirror import TrackReport, track
from harness.tracking.parents import leaderboard_is_current
from harness.tracking.service import check_tracking

__all__ = ["TrackReport", "check_tracking", "leaderboard_is_current", "track"]
