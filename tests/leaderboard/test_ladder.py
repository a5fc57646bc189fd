from dataclasses import replace

import pytest

from harness.api.errors import UsageError
from harness.leaderboard.render import markdown, rung_blocks, terminal_text
from tests.synthetic import RunSpec, board_of, write_records

SPEC = RunSpec(labelled=(3,), seeds=2, patients=6, validations=2, history_steps=2, ladder=(500, 2000, 8000))


def test_a_board_per_rung_and_rungs_not_run_are_named(tmp_path):
    spec = replace(SPEC, unrun={8000}, missing={("ua_mt", 3, 0, 1)})
    board = board_of(write_records(tmp_path / "s", spec))
    assert [(each.rung, each.title) for each in board.inputs.comparisons] == [
        (500, "500 reference steps"),
        (2000, "2000 reference steps"),
    ]
    assert board.results.groupby("rung")["n_runs"].max().to_dict() == {500: 2, 2000: 2}
    ua_mt = board.results.query("entry == 'ua_mt' and checkpoint == 'last'")
    assert ua_mt[["n_ok", "n_missing", "n_elsewhere"]].to_numpy().tolist() == [[1, 1, 0]] * 2
    text = terminal_text(board)
    assert "3 labelled patients, 2000 reference steps: test metrics" in text
    assert "Not run yet: rung 8000 of the ladder 500, 2000, 8000." in text
    (beside,) = (block.grid for block in rung_blocks(board, intervals=False))
    assert beside.headers == ("method", "500", "2,000")
    means = board.results.query("checkpoint == 'last'").set_index(["entry", "rung"])["dice"]
    for (entry, _), *cells in beside.rows:
        assert [value.split(" ")[0] for value, _ in cells] == [
            f"{100 * means[entry, rung]:.1f}" for rung in (500, 2000)
        ]


def test_a_rung_whose_runs_all_died_before_their_first_step_has_failed(tmp_path):
    store = write_records(tmp_path / "s", replace(SPEC, unrun={8000}))
    for folder in store.folders():
        if folder.run.budget.reference_steps == 2000:
            result = folder.require_result().model_copy(update={"status": "failed", "failure": SPEC.failure})
            folder.write_result(result.model_copy(update={"environment": ""}))
    text = terminal_text(board_of(store))
    assert "Not run yet: rung 8000 of the ladder 500, 2000, 8000." in text
    assert "Failed before their first step: 8 runs of rung 2000; `harness errors` prints why." in text


def test_one_rung_keeps_its_numbers_and_speaks_of_no_other(tmp_path):
    board = board_of(write_records(tmp_path / "s", replace(SPEC, unrun={8000})))
    alone = board.at_rung(2000)
    for name, frame in alone.tables.items():
        assert set(frame["table"]) == {2}, name
        assert frame.equals(board.tables[name].query("table == 2")), name
    text = markdown(alone)
    assert ("500 reference" in text, "Not run yet" in text, "break-even" in text) == (False, False, False)
    for rung, words in ((8000, "has not run yet; its rungs are 500, 2000, 8000"), (9, "is none of the suite's")):
        with pytest.raises(UsageError, match=f"--rung: {rung} {words}"):
            board.at_rung(rung)
