import json
import re
import shutil
from pathlib import Path
from typing import Any

from tests.cli.conftest import FinishedRun
from tests.support import call_cli


def panels(page: Path) -> list[dict[str, Any]]:
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return [panel for group in json.loads(found[1])["panels"]["groups"] for panel in group["panels"]]


def leaderboard(runs: Path, cache: Path, *more: str) -> Path:
    done = call_cli("leaderboard", runs / "tiny", *more, env={"HARNESS_CACHE": str(cache)}, code=0)
    page = runs / "tiny" / "leaderboard" / "index.html"
    assert f"page: {page}" in done.stderr
    return page


def test_a_run_ends_with_a_page_and_its_pictures(finished: FinishedRun):
    page = finished.runs / "tiny" / "leaderboard" / "index.html"
    assert "page: runs/tiny/leaderboard/index.html" in finished.stderr
    found = panels(page)
    assert found
    for panel in found:
        assert panel["worst"] in {"supervised", "ua_mt"}
        assert set(panel["methods"]) == {"supervised", "ua_mt"}
    assert "Do not publish this page" in page.read_text()


def test_a_leaderboard_has_pictures_where_they_are_asked_for(records: Path, session_cache: Path):
    page = leaderboard(records, session_cache)
    assert panels(page) == []
    assert "Left out: pictures of test cases need the scans" in page.read_text()
    with_panels = leaderboard(records, session_cache, "--panels")
    assert panels(with_panels)
    leaderboard(records, session_cache, "--no-panels")
    assert panels(page) == []


def test_data_that_are_given_mean_pictures(records: Path, session_cache: Path):
    (cache,) = {path.parent for path in session_cache.glob("phantom-*/manifest.json")}
    assert panels(leaderboard(records, session_cache, "--data", str(cache)))
    assert panels(leaderboard(records, session_cache, "--data", str(cache), "--no-panels")) == []


def test_pictures_before_any_run_ended_are_refused(tmp_path: Path, finished: FinishedRun):
    runs = Path(shutil.copytree(finished.runs, tmp_path / "runs"))
    for result in runs.glob("tiny/runs/*/result.json"):
        result.unlink()
    done = call_cli("leaderboard", runs / "tiny", "--panels", code=65)
    assert "no run has ended yet" in done.stderr
