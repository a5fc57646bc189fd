import json
import os
from pathlib import Path

import pandas as pd
import pytest

from harness.api.errors import RecordError
from harness.records.reader import SuiteRecords
from harness.tracking import leaderboard_is_current
from harness.tracking.parents import readable_table
from tests.support import call_cli
from tests.synthetic import write_tables
from tests.tracking.view import MLFLOW_RUNS, RUNS, SEARCHED, by_key, inputs, runs, small_suite, track


def test_the_leaderboard_is_a_logged_table_and_its_files_lie_beside_it(desk: Path):
    store = small_suite(desk)
    write_tables(store)
    (store.leaderboard / "index.html").write_text("<html>the page</html>")
    (store.leaderboard / ".curves.png.tmp").write_text("half written")
    track(store)
    suite = by_key(desk / "mlflow.db")["suite"]
    assert json.loads(suite.tags["mlflow.loggedArtifacts"]) == [{"path": "leaderboard.json", "type": "table"}]
    table = json.loads((suite.artifacts / "leaderboard.json").read_text())
    assert table["columns"][:5] == ["labelled", "checkpoint", "rank", "entry", "dice"]
    expected = pd.read_csv(store.leaderboard / "leaderboard.csv")
    assert [row[3] for row in table["data"]] == expected["entry"].tolist()
    assert [row[4] for row in table["data"]] == pytest.approx(expected["dice"].tolist(), abs=1e-4)
    found = {path.relative_to(suite.artifacts).as_posix() for path in suite.artifacts.rglob("*") if path.is_file()}
    assert {"leaderboard/index.html", "leaderboard/curves.png", "selection.json"} <= found
    assert f"suites/{store.selection().suite_hash}.yaml" in found
    assert not [name for name in found if "tmp" in name]


def test_a_new_leaderboard_gives_a_new_suite_run_and_keeps_all_below(desk: Path):
    store = small_suite(desk)
    track(store)
    before = by_key(desk / "mlflow.db")
    write_tables(store)
    assert track(store).kept == RUNS
    suites = [i for i, run in runs(desk / "mlflow.db").items() if "harness.suite" in run.tags]
    after = by_key(desk / "mlflow.db")
    assert len(after) == MLFLOW_RUNS
    assert after["suite"].artifacts != before["suite"].artifacts
    assert after["ua_mt"].artifacts == before["ua_mt"].artifacts
    assert [after["ua_mt"].tags["mlflow.parentRunId"]] == suites


def test_inputs_are_names_and_checksums_with_their_split(desk: Path):
    track(small_suite(desk))
    found = {run.name: inputs(desk / "mlflow.db", run_id) for run_id, run in runs(desk / "mlflow.db").items()}
    digest = "c" * 12
    expected = {
        "phantom train (3 labelled, subset 0)": (digest, "train"),
        "phantom validation": (digest, "validation"),
        "phantom test": (digest, "test"),
    }
    assert found["supervised/3/0/0"] == expected
    failed = {name: split for name, split in expected.items() if name != "phantom test"}
    assert found["ua_mt/3/0/1"] == failed  # it never came to its test
    assert found["phantom_small"] == expected | {"phantom train (all labelled)": (digest, "train")}


def test_the_chosen_configuration_is_tagged(desk: Path):
    store = small_suite(desk, SEARCHED)
    track(store)
    found = by_key(desk / "mlflow.db")
    chosen = {
        run.params["centers_per_class"]: run.tags["selected"]
        for run in found.values()
        if run.tags["harness.role"] == "search"
    }
    assert chosen == {"1": "no", "2": "yes", "4": "no"}
    assert found["ua_mt"].params["centers_per_class"] == "2"
    assert {run.tags["selected"] for run in found.values() if run.tags["harness.role"] == "final"} == {"yes"}


def test_another_selection_moves_the_tags_and_no_run_of_a_run(desk: Path):
    store = small_suite(desk, SEARCHED)
    track(store)
    before = by_key(desk / "mlflow.db")
    selection = store.selection()
    kept = [entry for entry in selection.entries if entry.planned_run.entry == "supervised"]
    store.write_selection(selection.model_copy(update={"entries": kept}))
    assert track(store).added == 0
    after = by_key(desk / "mlflow.db")
    assert {
        run.tags["selected"] for run in after.values() if run.tags.get("method") == "ua_mt" and "selected" in run.tags
    } == {"no"}
    assert {key: after[key].artifacts for key in after if len(key) == 64} == {
        key: before[key].artifacts for key in before if len(key) == 64
    }


def test_track_says_when_the_leaderboard_is_older_than_the_records(desk: Path):
    store = small_suite(desk)
    assert not leaderboard_is_current(SuiteRecords(store))
    write_tables(store)
    assert leaderboard_is_current(SuiteRecords(store))
    result = next(store.folders()).path / "result.json"
    later = (store.leaderboard / "leaderboard.csv").stat().st_mtime + 10
    os.utime(result, (later, later))
    done = call_cli("track", store.root, cwd=desk, code=0)
    assert "absent or older than the records" in done.stderr


def test_a_broken_table_is_named(tmp_path: Path):
    (tmp_path / "leaderboard.csv").write_bytes(b"")
    with pytest.raises(RecordError, match="not a table"):
        readable_table(tmp_path / "leaderboard.csv")


def test_columns_that_say_nothing_come_last_or_not_at_all(tmp_path: Path):
    (tmp_path / "x.csv").write_text("suite,entry,empty,steps,dice\na,m1,,7,0.123456\na,m2,,8,0.5\n")
    table = readable_table(tmp_path / "x.csv")
    assert list(table) == ["entry", "dice", "steps", "suite"]
    assert table["dice"].tolist() == [0.1235, 0.5]
