import json
import re

from tests.support import call_cli


def panels(page):
    found = re.search(r'id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    return [panel for group in json.loads(found[1])["panels"]["groups"] for panel in group["panels"]]


def leaderboard(runs, cache, *more):
    done = call_cli("leaderboard", runs / "tiny", *more, env={"HARNESS_CACHE": str(cache)})
    page = runs / "tiny" / "leaderboard" / "index.html"
    assert f"page: {page}" in done.stderr
    return page


def test_a_run_ends_with_a_page_and_its_pictures(finished):
    page = finished.runs / "tiny" / "leaderboard" / "index.html"
    assert "page: runs/tiny/leaderboard/index.html" in finished.stderr
    found = panels(page)
    assert found
    for panel in found:
        assert panel["worst"] in {"supervised", "ua_mt"}
        assert set(panel["methods"]) == {"supervised", "ua_mt"}
    assert "Do not publish this page" in page.read_text()


def test_a_leaderboard_has_pictures_where_they_are_asked_for(records, session_cache):
    page = leaderboard(records, session_cache)
    assert panels(page) == []
    assert "Left out: pictures of test cases need the scans" in page.read_text()
    with_panels = leaderboard(records, session_cache, "--panels")
    assert panels(with_panels)
    leaderboard(records, session_cache, "--no-panels")
    assert panels(page) == []
