import json

import pandas as pd
import pytest

from tests.synthetic import write_tables
from tests.tracking.view import by_key, small_suite, track


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
