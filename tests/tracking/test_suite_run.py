import json
import os

import pandas as pd
import pytest

from harness.records.reader import SuiteRecords
from harness.tracking import leaderboard_is_current
from tests.support import call_cli
from tests.synthetic import write_tables
from tests.tracking.view import SEARCHED, by_key, small_suite, track


def test_the_leaderboard_is_a_logged_table_and_its_files_lie_beside_it(desk):
    store = small_suite(desk)
    write_tables(store)
    (store.leaderboard / "index.html").write_text("<html>the page</html>")
    track(store)
    suite = by_key(desk)["suite"]
    assert json.loads(suite.tags["mlflow.loggedArtifacts"]) == [{"path": "leaderboard.json", "type": "table"}]
    table = json.loads((suite.artifacts / "leaderboard.json").read_text())
    assert table["columns"][:5] == ["labelled", "checkpoint", "rank", "entry", "dice"]
    expected = pd.read_csv(store.leaderboard / "leaderboard.csv")
    assert [row[3] for row in table["data"]] == expected["entry"].tolist()
    assert [row[4] for row in table["data"]] == pytest.approx(expected["dice"].tolist(), abs=1e-4)
    found = {path.relative_to(suite.artifacts).as_posix() for path in suite.artifacts.rglob("*") if path.is_file()}
    assert {"leaderboard/index.html", "leaderboard/curves.png", "selection.json"} <= found
    assert f"suites/{store.selection().suite_hash}.yaml" in found


def test_the_chosen_configuration_is_tagged(desk):
    store = small_suite(desk, SEARCHED)
    track(store)
    found = by_key(desk)
    chosen = {
        run.params["centers_per_class"]: run.tags["selected"]
        for run in found.values()
        if run.tags["harness.role"] == "search"
    }
    assert chosen == {"1": "no", "2": "yes", "4": "no"}
    assert found["ua_mt"].params["centers_per_class"] == "2"
    assert {run.tags["selected"] for run in found.values() if run.tags["harness.role"] == "final"} == {"yes"}


def test_track_says_when_the_leaderboard_is_older_than_the_records(desk):
    store = small_suite(desk)
    assert not leaderboard_is_current(SuiteRecords(store))
    write_tables(store)
    assert leaderboard_is_current(SuiteRecords(store))
    result = next(store.folders()).path / "result.json"
    later = (store.leaderboard / "leaderboard.csv").stat().st_mtime + 10
    os.utime(result, (later, later))
    done = call_cli("track", store.root, cwd=desk)
    assert "absent or older than the records" in done.stderr
