"""Boards of a ladder: a comparison per rung, with the runs that the rung lacks."""

from __future__ import annotations

from pathlib import Path

from tests.synthetic import RunSpec, board_of, write_records

SPEC = RunSpec(labelled=(3,), seeds=2, patients=6, validations=2, history_steps=2, ladder=(500, 2000, 8000))


def test_a_board_per_rung_and_rungs_not_run_are_named(tmp_path: Path) -> None:
    spec = RunSpec(**{**vars(SPEC), "unrun": frozenset({8000}), "missing": frozenset({("ua_mt", 3, 0, 1)})})
    board = board_of(write_records(tmp_path / "s", spec))
    assert [(each.rung, each.title) for each in board.inputs.comparisons] == [
        (500, "500 reference steps"), (2000, "2000 reference steps"),
    ]  # fmt: skip
    assert board.results.groupby("rung")["n_runs"].max().to_dict() == {500: 2, 2000: 2}
    ua_mt = board.results.query("entry == 'ua_mt' and checkpoint == 'last'")
    assert ua_mt[["n_ok", "n_missing", "n_elsewhere"]].to_numpy().tolist() == [[1, 1, 0]] * 2
    text = str(board)
    assert "3 labelled patients, 2000 reference steps: test metrics" in text
    assert "Not run yet: rung 8000 of the ladder 500, 2000, 8000." in text
    assert "Budget: 500 reference steps a run" in text


def test_where_nothing_ran_the_shortest_rung_is_listed(tmp_path: Path) -> None:
    spec = RunSpec(**{**vars(SPEC), "unrun": frozenset(SPEC.ladder)})
    (comparison,) = board_of(write_records(tmp_path / "s", spec)).inputs.comparisons
    assert (comparison.rung, set(comparison.runs["status"])) == (500, {"missing"})
