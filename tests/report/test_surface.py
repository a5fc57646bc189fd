"""Search trials as points in a space."""

import json

import pandas as pd
import pytest

from harness.report.surface import describe_family, surfaces
from tests.report.trials import CENTERS, SCHEDULES, row, trials


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"family": "constant", "tau": 0.1}, "constant tau 0.1"),
        ({"family": "half_cosine", "start": 1.0, "end": 0.1}, "half cosine start 1 end 0.1"),
        ({"family": "step", "values": [1.0, 0.1]}, "step values [1.0, 0.1]"),
    ],
)
def test_families_in_words(value, text):
    assert describe_family(value) == text


def test_the_grid_of_schedules_and_centres():
    grid = next(one for one in surfaces(trials()) if one["entry"] == "mc_net")
    names = [one["name"] for one in grid["dimensions"]]
    across, up = (grid["dimensions"][axis] for axis in grid["axes"])
    assert (across["name"], up["name"]) == ("centers_per_class", "student_temperature")
    assert up["with"] == ["anatomical_temperature"], "what moves together is one dimension"
    assert "anatomical_temperature" not in names
    assert across["values"] == [r for _ in SCHEDULES for r in CENTERS]
    assert up["values"] == [describe_family(s) for s in SCHEDULES for _ in CENTERS]
    assert (across["kind"], up["kind"]) == ("log", "choice")
    periods = next(one for one in grid["dimensions"] if one["name"] == "student_temperature.periods")
    assert periods["values"] == [None] * 10 + [1] * 5 + [10] * 5
    failed, chosen = grid["trials"][13], grid["trials"][19]
    assert (failed["score"], failed["status"], failed["seconds"]) == (None, "failed", 6)
    assert (chosen["chosen"], chosen["point"]) == (True, 19)


def test_numbers_and_their_scales():
    numbers = next(one for one in surfaces(trials()) if one["entry"] == "ua_mt")
    assert [(one["name"], one["kind"]) for one in numbers["dimensions"]] == [
        ("consistency", "log"), ("ema_decay", "number"),
    ]  # fmt: skip
    assert numbers["axes"] == [0, 1]


def test_schedules_that_dimensions_of_their_own_make():
    """As ACTION++'s search: tau_family and tau_periods vary, and each temperature is a schedule with its own ends."""
    rows = []
    for i, (family, periods, r) in enumerate(
        (f, p, r) for f, p in (("constant", None), ("cosine", 1), ("cosine", 10)) for r in (1, 2)
    ):
        varied = {"tau_family": family, "centers_per_class": r} | ({} if periods is None else {"tau_periods": periods})
        ends = {"student": 0.1, "teacher": 0.01}
        params = {
            f"{name}_temperature": {"family": "constant", "tau": low} if periods is None
            else {"family": "cosine", "low": low, "high": 1.0, "periods": periods}
            for name, low in ends.items()
        }  # fmt: skip
        rows.append(row("action_pp", i, varied, 0.5, params=json.dumps({**params, "centers_per_class": r})))
    (surface,) = surfaces(pd.DataFrame(rows))
    across, up = (surface["dimensions"][axis] for axis in surface["axes"])
    assert across["name"] == "centers_per_class"
    assert (up["name"], up["with"]) == ("student_temperature", ["teacher_temperature"])
    assert up["values"][::2] == [
        "constant tau 0.1",
        "cosine low 0.1 high 1 periods 1",
        "cosine low 0.1 high 1 periods 10",
    ]
    periods = next(one for one in surface["dimensions"] if one["name"] == "tau_periods")
    assert periods["values"] == [None, None, 1, 1, 10, 10]


def test_schedules_that_are_all_different_become_their_numbers():
    rows = [
        row("a", i, {"low": 0.1 * (i + 1)}, 0.5,
            params=json.dumps({"temperature": {"family": "cosine", "low": 0.1 * (i + 1), "high": 1.0}}))
        for i in range(4)
    ]  # fmt: skip
    (surface,) = surfaces(pd.DataFrame(rows))
    assert [one["name"] for one in surface["dimensions"]] == ["low"]


def test_what_never_varies_is_no_dimension():
    rows = [row("a", i, {"lr": 0.1, "on": i == 0, "kept": None}, 0.5) for i in range(3)]
    (surface,) = surfaces(pd.DataFrame(rows))
    assert [(one["name"], one["kind"], one["values"]) for one in surface["dimensions"]] == [
        ("on", "choice", ["True", "False", "False"])
    ]
    assert surface["axes"] == [0]


def test_no_search_no_surface():
    assert surfaces(trials().iloc[:0]) == []
