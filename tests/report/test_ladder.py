from harness.leaderboard.headline import break_even_answers
from harness.records.reader import SuiteRecords
from harness.report.page import write_page
from tests.report.ladders import CLIMB
from tests.synthetic import board_of, write_records


def test_the_answer_says_from_which_rung_on(tmp_path):
    store = write_records(tmp_path / "climb", CLIMB)
    board = board_of(store)
    page = write_page(SuiteRecords(store), board).read_text()
    ((title, sentences),) = break_even_answers(board)
    assert title == "Break-even, 3 labelled patients"
    first, second = sentences
    assert first == "From 2000 reference steps on late is significantly ahead of supervised."
    assert second.startswith("Not within the ladder: noise (not significantly ahead, or with a failed")
    assert all(sentence in page for sentence in sentences)
