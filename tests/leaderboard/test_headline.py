import math
from dataclasses import replace

import pandas as pd
import pytest

from harness.leaderboard.headline import verdicts
from tests.synthetic import board_of

NAN = math.nan


@pytest.fixture(scope="module")
def board(plain):
    return board_of(plain)


def with_rows(board, rows, pairs):
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
    return replace(board, results=frame, paired=differences)


def sentences(board, rows, pairs):
    ((title, texts),) = verdicts(with_rows(board, rows, pairs), board.inputs.comparisons[0])
    assert title == "7 labelled patients"
    return texts


SCOPE = "This holds for seeds 0, 1 and 2 on labelled subset 0, not for others."

A, B, C = ({"entry": name, "dice": dice} for name, dice in (("a", 0.8), ("b", 0.75), ("c", 0.6)))


def test_a_significant_lead(board):
    pairs = [("a", "b", 0.05, 0.01, 0.09, "significant"), ("c", "a", -0.2, -0.3, -0.1, "significant")]
    assert sentences(board, [A, B, C], pairs) == [
        "a is significantly ahead of every other ranked method: 80.0 % Dice, +5.0 points [+1.0, +9.0] above b.",
        SCOPE,
    ]


def test_no_lead_is_significant(board):
    pairs = [("a", "b", 0.05, -0.01, 0.11, "not significant"), ("a", "c", 0.2, -0.1, 0.3, "not significant")]
    lead = "a has the highest mean (80.0 % Dice). Its lead over b and c is not significant."
    assert sentences(board, [A, B, C], pairs) == [f"No method is significantly ahead. {lead}", SCOPE]


def test_equal_means_are_no_lead(board):
    pairs = [("a", "b", 0.0, -0.1, 0.1, "not significant"), ("a", "c", 0.2, 0.1, 0.3, "significant")]
    expected = ["No method is ahead. a and b have the same highest mean (80.0 % Dice).", SCOPE]
    assert sentences(board, [A, {**B, "dice": 0.8}, C], pairs) == expected


def test_too_few_patients_claim_nothing(board):
    pairs = [("a", "b", 0.05, NAN, NAN, "undetermined"), ("a", "c", 0.2, NAN, NAN, "undetermined")]
    assert sentences(board, [A, B, C], pairs) == [
        "a has the highest mean (80.0 % Dice), but with so few patients no difference can be significant.",
        SCOPE,
    ]


def test_a_reference_is_turned_the_right_way_round(board):
    reference = {"entry": "full", "dice": 0.9, "block": "reference", "trained_on": "all"}
    expected = "The reference full (all labels) reaches 90.0 %, +10.0 points [+5.0, +15.0] from a: significant."
    for pair in (("full", "a", 0.1, 0.05, 0.15, "significant"), ("a", "full", -0.1, -0.15, -0.05, "significant")):
        assert sentences(board, [A, reference], [pair])[1] == expected


def test_a_higher_mean_of_a_method_with_a_failure_is_no_lead(board):
    failing = {**B, "dice": 0.9, "n_failed": 1, "n_ok": 2}
    pairs = [("a", "b", -0.1, -0.15, -0.05, "significant"), ("a", "c", 0.2, 0.1, 0.3, "significant")]
    placed = "1 run failed; a method with a failure is placed after all without."
    difference = "+20.0 points [+10.0, +30.0]"
    higher = "b reaches 90.0 % in 2 runs, but 1 of its runs failed."
    assert sentences(board, [A, C, failing], pairs) == [
        f"a is significantly ahead of every other ranked method without a failure: 80.0 % Dice, {difference} above c.",
        higher, SCOPE, placed,
    ]  # fmt: skip
    alone = "a reaches 80.0 % Dice; runs of every other ranked method failed or do not fit."
    assert sentences(board, [A, failing], pairs) == [alone, higher, SCOPE, placed]


def test_the_answer_says_what_is_ahead_of_labelled_only_training(board):
    base = {"entry": "supervised", "dice": 0.7}
    pairs = [
        ("a", "b", 0.05, -0.01, 0.11, "not significant"), ("a", "supervised", 0.1, 0.05, 0.15, "significant"),
        ("b", "supervised", 0.05, -0.01, 0.11, "not significant"), ("a", "c", 0.2, 0.1, 0.3, "significant"),
        ("supervised", "c", 0.1, 0.05, 0.15, "significant"),
    ]  # fmt: skip
    answer = sentences(board, [A, B, base, C], pairs)[0]
    assert answer.endswith("Significantly above supervised, the best labelled-only training: a; below: c.")
    answer = sentences(board, [{**base, "dice": 0.9}, A, B], [("supervised", "a", 0.1, 0.05, 0.15, "significant")])[0]
    assert answer.endswith("That is training on the labelled patients alone: no method is ahead of it.")
