from pathlib import Path

import pytest

from harness.leaderboard import numbers
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.report.page import write_page
from tests.browser.chromium import PHONE, complaints, show
from tests.browser.test_page import MINUS, overflow, texts
from tests.report.ladders import CLIMB
from tests.synthetic import board_of, write_records


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> SuiteFolder:
    return write_records(tmp_path_factory.mktemp("runs") / "climb", CLIMB)


@pytest.fixture(scope="module")
def board(store: SuiteFolder) -> Leaderboard:
    return board_of(store)


@pytest.fixture(scope="module")
def page_file(store: SuiteFolder, board: Leaderboard) -> Path:
    return write_page(SuiteRecords(store), board)


def test_a_tab_shows_one_rung_and_the_last_one_all(page):
    assert texts(page, ".tab") == ["500", "2,000", "8,000", "all rungs"]
    captions = ["3 labelled patients (table 3: 8000 reference steps)"]
    assert texts(page, "#results-body caption") == captions, "the longest rung first"
    page.find_elements("css selector", ".tab")[0].click()
    assert texts(page, "#results-body caption") == ["3 labelled patients (table 1: 500 reference steps)"]
    assert texts(page, '.tab[aria-pressed="true"]') == ["500"]
    assert texts(page, "#view-labelled option") == ["all counts", "3 labelled patients (table 1: 500 reference steps)"]
    page.find_elements("css selector", ".tab")[3].click()
    assert len(texts(page, "#results-body caption")) == 3
    assert complaints(page) == []


def test_the_picture_has_a_band_intervals_and_a_ring(page):
    def count(selector: str) -> int:
        return int(page.execute_script("return document.querySelectorAll(arguments[0]).length", selector))

    assert count("#ladder-body svg .band") == 1
    assert count("#ladder-body svg .interval") == 3 * 3, "of each rung of late, noise and the reference"
    assert count("#ladder-body svg .break-even") == 1
    ticks = page.execute_script(
        "const there = [...document.querySelectorAll('#ladder-body svg text')];"
        "return there.map((one) => [one.textContent, one.getAttribute('x')]);"
    )
    at = {text: float(x) for text, x in ticks if text in ("500", "2000", "8000")}
    assert at["2000"] - at["500"] == pytest.approx(at["8000"] - at["2000"], abs=0.5), "four times as much each"
    assert complaints(page) == []


def test_the_leads_are_those_of_the_frame(page, board: Leaderboard):
    leads = board.break_even.query("entry == 'late' and checkpoint == 'last'")
    cells = texts(page, '#ladder-body tr[data-method="late"] td')
    assert cells[0] == "2,000"
    for text, lead in zip(cells[1:], leads.to_dict("records"), strict=True):
        assert text.split("\n")[0].removesuffix(" ▲") == numbers.points(lead["difference"]).replace("-", MINUS)
        assert ("▲" in text) == lead["ahead"]
    assert texts(page, '#ladder-body tr[data-method="noise"] td')[0] == "not within the ladder"


def test_it_fits_a_phone(page, page_file: Path):
    show(page, page_file, PHONE)
    assert overflow(page) <= 0
    assert complaints(page) == []
