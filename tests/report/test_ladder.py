import pytest

from harness.leaderboard.headline import break_even_answers
from harness.records.reader import SuiteRecords
from harness.report.page import write_page
from tests.report.ladders import CLIMB
from tests.synthetic import board_of, write_records


@pytest.fixture(scope="module")
def climb(tmp_path_factory):
    store = write_records(tmp_path_factory.mktemp("runs") / "climb", CLIMB)
    board = board_of(store)
    return board, write_page(SuiteRecords(store), board).read_text()


def test_the_answer_says_from_which_rung_on(climb):
    ((title, sentences),) = break_even_answers(climb[0])
    assert title == "Break-even, 3 labelled patients"
    first, second = sentences
    assert first == "From 2000 reference steps on late is significantly ahead of supervised."
    assert second.startswith("Not within the ladder: noise (not significantly ahead, or with a failed")
    assert all(sentence in climb[1] for sentence in sentences)
