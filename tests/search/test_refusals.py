import pytest

from tests.search.suites import line_about, refusal

RANGE = {"scale": "log", "values": [0.1, 1]}


def ua_mt(name, dimension):
    return {"methods": {"ua_mt": {"search": {name: dimension}}}}


@pytest.mark.parametrize(
    ("changes", "search", "field", "text", "words"),
    [
        (ua_mt("consistancy", RANGE), {}, "methods.ua_mt.search.consistancy", "consistancy:", "'consistency'?"),
        (
            {},
            {"engine": {"largest_component": {"values": [True, None]}}},
            "search.engine.largest_component",
            "largest_component:",
            "all methods have it alike",
        ),
        ({}, {"mode": "grid", "trials": None}, "methods.ua_mt", "ua_mt:", "list the values of consistency, noise"),
        ({}, {"mode": "grid"}, "search", "search:", "mode grid counts its trials itself"),
        ({}, {"budget": {"device_seconds": 4}}, "search.budget", "budget:", "the finals are budgeted in steps"),
        ({"seeds": [3, 102]}, {"studies": 3}, "search.seed", "seed: 100", "the finals use seed 102 too"),
        ({}, {"subset": 2}, "search.subset", "subset: 2", "the finals use subset 2 too"),
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
def test_refusals_name_line_and_field(changes, search, field, text, words, tmp_path):
    message = refusal(tmp_path, changes, **search)
    assert words in line_about(message, tmp_path / "small.yaml", field, text)
