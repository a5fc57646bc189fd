import pandas as pd

from harness.leaderboard.results import with_ranks


def bounds(names, significant, failed=(), none_ok=()):
    rows = pd.DataFrame({
        "table": 1, "labelled": 7, "checkpoint": "last", "block": "ranked", "place": range(1, len(names) + 1),
        "rank": None, "rank_worst": None, "entry": list(names),
        "n_ok": [0 if name in none_ok else 3 for name in names],
        "n_failed": [int(name in failed or name in none_ok) for name in names],
        "n_unfit": 0,
    }).astype({"labelled": "Int64", "place": "Int64"})  # fmt: skip
    pairs = pd.DataFrame(
        [
            {"table": 1,
             "labelled": 7, "checkpoint": "last", "class_name": "mean", "metric": "dice", "family": "ranked",
             "entry_a": a, "entry_b": b, "difference": sign * 0.1, "significant": True}
            for winner, loser in significant
            for a, b, sign in [(winner, loser, 1) if winner < loser else (loser, winner, -1)]
        ],
        columns=["table", "labelled", "checkpoint", "class_name", "metric", "family", "entry_a", "entry_b",
                 "difference", "significant"],
    ).astype({"labelled": "Int64", "significant": "bool"})  # fmt: skip
    ranked = with_ranks(rows, pairs)
    assert ranked.columns.tolist() == rows.columns.tolist()
    return {row.entry: (row.rank, row.rank_worst) for row in ranked.itertuples()}


def test_separations_that_are_not_transitive_contradict_nothing():
    assert bounds("abc", [("a", "c")]) == {"a": (1, 2), "b": (1, 3), "c": (2, 3)}


def test_all_differences_significant_and_none():
    assert bounds("abc", [("a", "b"), ("a", "c"), ("b", "c")]) == {"a": (1, 1), "b": (2, 2), "c": (3, 3)}
    assert bounds("abc", []) == dict.fromkeys("abc", (1, 3))
    assert bounds("a", []) == {"a": (1, 1)}


def test_failures_come_after_all_without_whatever_their_dice():
    ranks = bounds("abcd", [("c", "a"), ("c", "b")], failed="c", none_ok="d")
    assert ranks == {"a": (1, 2), "b": (1, 2), "c": (3, 3), "d": (4, 4)}
    assert bounds("ab", [("a", "b")], failed="ab") == {"a": (1, 1), "b": (2, 2)}
