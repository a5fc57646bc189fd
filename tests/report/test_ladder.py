import json
import re
from dataclasses import replace

import pytest

from harness.leaderboard.headline import break_even_answers
from harness.leaderboard.leaderboard import Leaderboard
from harness.records.reader import SuiteRecords
from harness.report.content import content, ladder_content
from harness.report.page import write_page
from tests.report.conftest import unpacked
from tests.report.ladders import CLIMB, RUNGS
from tests.synthetic import board_of, write_records


@pytest.fixture(scope="module")
def climb(tmp_path_factory: pytest.TempPathFactory) -> tuple[Leaderboard, str]:
    """The board of a ladder, and its page."""
    store = write_records(tmp_path_factory.mktemp("runs") / "climb", CLIMB)
    board = board_of(store)
    return board, write_page(SuiteRecords(store), board).read_text()


def test_the_answer_says_from_which_rung_on(climb: tuple[Leaderboard, str]):
    ((title, sentences),) = break_even_answers(climb[0])
    assert title == "Break-even, 3 labelled patients"
    first, second = sentences
    assert first == "From 2000 reference steps on late is significantly ahead of supervised."
    assert second.startswith("Not within the ladder: noise (not significantly ahead, or with a failed")
    assert all(sentence in climb[1] for sentence in sentences)


def test_what_is_not_known_is_said(climb: tuple[Leaderboard, str]):
    board = climb[0]
    frame = board.break_even.assign(break_even=None, verdict="not determined").astype({"break_even": "Int64"})
    ((_, sentences),) = break_even_answers(replace(board, break_even=frame))
    assert len(sentences) == 1
    assert sentences[0].startswith("Not determined: late and noise (no rung has three seeds")


def test_the_picture_joins_the_tables_of_the_rungs(climb: tuple[Leaderboard, str]):
    html = climb[1]
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html, re.DOTALL)
    data = json.loads(text)
    (picture,) = data["ladder"]["pictures"]
    assert picture == {
        "ladder": 1, "labelled": 3, "title": "3 labelled patients", "tables": [1, 2, 3], "rungs": [*RUNGS],
        "baselines": ["supervised"],
    }  # fmt: skip
    leads = unpacked(data["ladder"]["leads"])
    assert {(lead["entry"], lead["rung"]) for lead in leads} == {(e, r) for e in ("late", "noise") for r in RUNGS}
    assert [group["rung"] for group in data["groups"]] == [*RUNGS]
    assert re.findall(r'<section id="(ladder|results)"', html) == ["ladder", "results"]
    assert 'id="view-rung"' in html


def test_without_a_ladder_the_page_has_none_of_it(written):
    assert ladder_content(written.board) is None
    assert content(written.board)["ladder"] is None
    assert break_even_answers(written.board) == []
    assert 'id="view-rung"' not in written.html
    assert {group["rung"] for group in written.data["groups"]} == {None}
