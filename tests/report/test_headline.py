"""The sentences, from rows and differences by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from harness.report.headline import verdicts

NAN = math.nan


def board_of(written, rows, pairs):
    """The board with these ranked rows and differences of Dice in place of its own."""
    usual = {
        "table": 1, "labelled": 7, "checkpoint": "last", "block": "ranked", "trained_on": "7", "n_runs": 3, "n_ok": 3,
        "n_failed": 0, "n_unfit": 0, "n_missing": 0, "seeds": "0 1 2", "subsets": "0",
    }  # fmt: skip
    frame = pd.DataFrame([{**usual, **row} for row in rows]).astype({"labelled": "Int64"})
    shared = {"table": 1, "labelled": 7, "checkpoint": "last", "metric": "dice", "class_name": "mean"}
    names = ("entry_a", "entry_b", "difference", "simultaneous_low", "simultaneous_high", "verdict")
    rows_of_pairs = [{**shared, **dict(zip(names, pair, strict=True))} for pair in pairs]
    differences = pd.DataFrame(rows_of_pairs, columns=[*shared, *names]).astype({"labelled": "Int64"})
    differences[["difference_low", "difference_high"]] = differences[["simultaneous_low", "simultaneous_high"]]
    return replace(written.board, results=frame, paired=differences)


def sentences(written, rows, pairs):
    ((title, texts),) = verdicts(board_of(written, rows, pairs), written.board.inputs.comparisons[0])
    assert title == "7 labelled patients"
    return texts


SCOPE = "This holds for seeds 0, 1 and 2 on labelled subset 0, not for others."

A, B, C = ({"entry": name, "dice": dice} for name, dice in (("a", 0.8), ("b", 0.75), ("c", 0.6)))


def test_a_significant_lead(written):
    pairs = [("a", "b", 0.05, 0.01, 0.09, "significant"), ("c", "a", -0.2, -0.3, -0.1, "significant")]
    assert sentences(written, [A, B, C], pairs) == [
        "a is significantly ahead of every other ranked method: 80.0 % Dice, +5.0 points [+1.0, +9.0] above b.",
        SCOPE,
    ]


def test_a_shared_lead(written):
    pairs = [("a", "b", 0.05, -0.01, 0.11, "not significant"), ("a", "c", 0.2, 0.1, 0.3, "significant")]
    assert sentences(written, [A, B, C], pairs) == [
        "a has the highest mean (80.0 % Dice). Its lead over b is not significant, its lead over c is.",
        SCOPE,
    ]


def test_no_lead_is_significant(written):
    pairs = [("a", "b", 0.05, -0.01, 0.11, "not significant"), ("a", "c", 0.2, -0.1, 0.3, "not significant")]
    lead = "a has the highest mean (80.0 % Dice). Its lead over b and c is not significant."
    assert sentences(written, [A, B, C], pairs) == [
        f"No method is significantly ahead. {lead}",
        SCOPE,
    ]


def test_equal_means_are_no_lead(written):
    pairs = [("a", "b", 0.0, -0.1, 0.1, "not significant"), ("a", "c", 0.2, 0.1, 0.3, "significant")]
    expected = ["No method is ahead. a and b have the same highest mean (80.0 % Dice).", SCOPE]
    assert sentences(written, [A, {**B, "dice": 0.8}, C], pairs) == expected


def test_too_few_patients_claim_nothing(written):
    pairs = [("a", "b", 0.05, NAN, NAN, "undetermined"), ("a", "c", 0.2, NAN, NAN, "undetermined")]
    assert sentences(written, [A, B, C], pairs) == [
        "a has the highest mean (80.0 % Dice), but with so few patients no difference can be significant.",
        SCOPE,
    ]


def test_one_method_alone_and_none(written):
    alone = "a reaches 80.0 % Dice; no other ranked method has numbers to compare it with."
    assert sentences(written, [A], []) == [alone, SCOPE]
    waiting = {**A, "dice": NAN, "n_ok": 0, "n_missing": 3}
    assert sentences(written, [waiting], []) == [
        "No ranked method has finished a run yet.", "Provisional: 3 of 3 runs have not run.",
    ]  # fmt: skip


def test_the_scope_is_of_all_ranked_methods(written):
    rows = [{**A, "seeds": "10", "subsets": "0 1"}, {**B, "seeds": "2 10", "subsets": "1"}]
    scope = sentences(written, rows, [("a", "b", 0.05, 0.01, 0.09, "significant")])[1]
    assert scope == "This holds for seeds 2 and 10 on labelled subsets 0 and 1, not for others."


def test_a_reference_is_turned_the_right_way_round(written):
    reference = {"entry": "full", "dice": 0.9, "block": "reference", "trained_on": "all"}
    expected = "The reference full (all labels) reaches 90.0 %, +10.0 points [+5.0, +15.0] from a: significant."
    for pair in (("full", "a", 0.1, 0.05, 0.15, "significant"), ("a", "full", -0.1, -0.15, -0.05, "significant")):
        assert sentences(written, [A, reference], [pair])[1] == expected


def test_failed_and_missing_runs_are_counted(written):
    rows = [{**A, "n_failed": 1, "n_ok": 2}, {**B, "n_missing": 1, "n_ok": 2}]
    assert sentences(written, rows, [("a", "b", 0.05, 0.01, 0.09, "significant")])[1:] == [
        SCOPE,
        "1 run failed; a method with a failure is placed after all without.",
        "Provisional: 1 of 6 runs has not run.",
    ]


def test_a_higher_mean_of_a_method_with_a_failure_is_no_lead(written):
    failing = {**B, "dice": 0.9, "n_failed": 1, "n_ok": 2}
    pairs = [("a", "b", -0.1, -0.15, -0.05, "significant"), ("a", "c", 0.2, 0.1, 0.3, "significant")]
    placed = "1 run failed; a method with a failure is placed after all without."
    difference = "+20.0 points [+10.0, +30.0]"
    higher = "b reaches 90.0 % in 2 runs, but 1 of its runs failed."
    assert sentences(written, [A, C, failing], pairs) == [
        f"a is significantly ahead of every other ranked method without a failure: 80.0 % Dice, {difference} above c.",
        higher, SCOPE, placed,
    ]  # fmt: skip
    alone = "a reaches 80.0 % Dice; runs of every other ranked method failed or do not fit."
    assert sentences(written, [A, failing], pairs) == [alone, higher, SCOPE, placed]


@pytest.mark.parametrize("labelled", [3, 7])
def test_the_board_s_own_verdict_names_its_leader(written, labelled):
    sentences_of = dict(verdicts(written.board, written.board.inputs.comparisons[0]))
    rows = written.board.results.query("checkpoint == 'last' and block == 'ranked' and labelled == @labelled")
    assert rows.iloc[0]["entry"] in sentences_of[f"{labelled} labelled patients"][0]
