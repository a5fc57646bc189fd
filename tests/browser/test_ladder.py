import math
from dataclasses import replace

import pandas as pd
import pytest

from harness.leaderboard import numbers
from harness.records.reader import SuiteRecords
from harness.report.page import write_page
from tests.browser.chromium import complaints
from tests.browser.test_page import MINUS, texts
from tests.report.ladders import CLIMB
from tests.synthetic import board_of, write_records


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("runs") / "climb", CLIMB)


@pytest.fixture(scope="module")
def board(store):
    """Its leads over a further baseline, which has too few seeds, come first."""
    board = board_of(store)
    unknown = board.break_even.assign(baseline="supervised_strong", difference=math.nan)
    return replace(board, break_even=pd.concat([unknown, board.break_even], ignore_index=True))


@pytest.fixture(scope="module")
def page_file(store, board):
    return write_page(SuiteRecords(store), board)


def test_a_tab_shows_one_rung_and_the_last_one_all(page):
    assert texts(page, ".tab") == ["500", "2,000", "8,000", "all rungs"]
    page.find_elements("css selector", ".tab")[0].click()
    assert texts(page, "#results-body caption") == ["3 labelled patients (table 1: 500 reference steps)"]
    page.find_elements("css selector", ".tab")[3].click()
    assert len(texts(page, "#results-body caption")) == 3
    assert complaints(page) == []


def test_the_leads_are_those_of_the_frame(page, board):
    leads = board.break_even.query("entry == 'late' and checkpoint == 'last' and baseline == 'supervised'")
    cells = texts(page, '#ladder-body tr[data-method="late"] td')
    assert cells[0] == "2,000"
    for text, lead in zip(cells[1:], leads.to_dict("records"), strict=True):
        assert text.split("\n")[0].removesuffix(" ▲") == numbers.points(lead["difference"]).replace("-", MINUS)
        assert ("▲" in text) == lead["ahead"]
    assert texts(page, '#ladder-body tr[data-method="noise"] td')[0] == "not within the ladder"
