"""Mirrors records into MLflow 3: a view with one writer, rebuilt from the records at any time.

An experiment per suite. In it a run for the suite (leaderboard as a table, its files, the page), below it one per
entry (means of the finals, their settings), below these one per run. Every run says what it is in `harness.role`
(suite, method, final, search), so `tags.harness.role = 'search' AND tags.method = 'ua_mt'` is a filter. Who
else tracks a suite of the same name there keeps runs of their own (`mirror.py`).

MLflow is imported by the functions that need it, so all else runs where it is not installed. Tracking sets these
variables of the process, each only where it is not set already, and changes nothing else for good:

    MLFLOW_DISABLE_TELEMETRY=true                no calls home
    MLFLOW_HTTP_REQUEST_MAX_RETRIES=1            a dead server is known within seconds (MLflow's default: minutes)
    MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR=1
    MLFLOW_HTTP_REQUEST_TIMEOUT=10               seconds, of one request
    MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT=true  no line per run
"""

from harness.tracking.mirror import TrackReport, track
from harness.tracking.parents import leaderboard_is_current
from harness.tracking.service import check_tracking

__all__ = ["TrackReport", "check_tracking", "leaderboard_is_current", "track"]
