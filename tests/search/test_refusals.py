from pathlib import Path
from typing import Any

import pytest

from tests.search.suites import entry, refusal

RANGE = {"scale": "log", "values": [0.1, 1]}


COSINES = {"methods": {"action_pp": entry(tau_low={"scale": "log", "values": [0.1, 0.9]}, tau_high=RANGE)}}


def ua_mt(name: str, dimension: object) -> dict[str, Any]:
    """A suite of UA-MT alone with one dimension of its own."""
    return {"methods": {"ua_mt": {"search": {name: dimension}}}}


@pytest.mark.parametrize(
    ("changes", "search", "field", "text", "words"),
    [
        (ua_mt("consistancy", RANGE), {}, "methods.ua_mt.search.consistancy", "consistancy:", "'consistency'?"),
        (
            ua_mt("ema_decay", {"scale": "linear", "values": [0.9, 1.1]}),
            {},
            "methods.ua_mt.search.ema_decay",
            "ema_decay:",
            "1.1: Input should be less than or equal to 1",
        ),
        *(
            (
                ua_mt("passes", {"scale": "linear", "values": [2, 8]}),
                {"mode": mode},
                "methods.ua_mt.search.passes",
                "passes:",
                "valid integer",
            )
            for mode in ("headline", "adaptive")  # its sampler would come to such a point
        ),
        *(
            (COSINES, {"mode": mode}, "methods.action_pp.search.student_temperature.cosine", "search:", "is above high")
            for mode in ("headline", "adaptive")
        ),
        (ua_mt("noise", {"scale": "log", "values": [0, 1]}), {}, "methods.ua_mt.search.noise", "noise:", "greater hi"),
        (ua_mt("noise", {"scale": "lin"}), {}, "methods.ua_mt.search.noise.scale", "scale: lin", "'linear', 'log'"),
        (ua_mt("noise", {"value": [1]}), {}, "methods.ua_mt.search.noise.value", "value:", "did you mean 'values'?"),
        (ua_mt("noise", {"scale": "log"}), {}, "methods.ua_mt.search.noise.values", "noise:", "required"),
        (
            {},
            {"engine": {"largest_component": {"values": [True, None]}}},
            "search.engine.largest_component",
            "largest_component:",
            "all methods have it alike",
        ),
        ({}, {"engine": {"learning_rate": RANGE}}, "search.engine.learning_rate", "learning_rate:", "optimiser.learn"),
        ({}, {"mode": "grid", "trials": None}, "methods.ua_mt", "ua_mt:", "list the values of consistency, noise"),
        ({}, {"mode": "grid"}, "search", "search:", "mode grid counts its trials itself"),
        ({}, {"trials": None}, "search", "search:", "mode headline needs trials"),
        ({}, {"mode": "random"}, "search.mode", "mode: random", "'headline', 'grid' or 'adaptive'"),
        ({}, {"budget": {"device_seconds": 4}}, "search.budget", "budget:", "the finals are budgeted in steps"),
        ({}, {"subset": 2}, "search.subset", "subset: 2", "the finals use subset 2 too"),
        ({"seeds": [3, 102]}, {"studies": 3}, "search.seed", "seed: 100", "the finals use seed 102 too"),
        ({}, {"labelled": 24}, "search.labelled", "labelled: 24", "phantom trains on 24 patients"),
        (
            {"dataset": "la_8020", "preprocessing": {"size": [32, 32, 16]}},
            {},
            "search",
            "search:",
            "la_8020 has no validation patients, on which a search could choose",
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_refusals_name_line_and_field(
    changes: dict[str, Any], search: dict[str, Any], field: str, text: str, words: str, tmp_path: Path
):
    message = refusal(tmp_path, changes, **search)
    path = tmp_path / "small.yaml"
    lines = path.read_text().splitlines()
    found = [number for number, content in enumerate(lines, start=1) if content.strip().startswith(text)]
    own = [one for one in message.splitlines() if any(one.startswith(f"{path}:{line}: {field}: ") for line in found)]
    assert len(own) == 1, message
    assert words in own[0]
