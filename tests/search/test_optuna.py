import math
from typing import Any

import pytest

from harness.api.params import Dimension
from harness.records.schema import Trial
from harness.search.proposals import Study
from harness.suite.trials import draw_sobol_points
from tests.search.tiny_search import make_search
from tests.services import require_ray


@pytest.fixture(autouse=True, scope="module")
def _optuna():
    require_ray()


SPACE = {
    "rate": Dimension(scale="log", values=(0.01, 1.0)),
    "share": Dimension(scale="linear", values=(0.0, 1.0)),
    "engine.optimiser.learning_rate": Dimension(scale="log", values=(0.1234567, 0.7654321)),
    "kind": Dimension(values=("a", "b", "c")),
}
POINT = {"rate": 0.1, "share": 0.5, "engine.optimiser.learning_rate": 0.3, "kind": "b"}


def trial(number, **varied):
    return Trial(entry="row", study=0, point=number, varied={**POINT, **varied}, run=f"{number:064x}")


def sampler(recorded, seed=0, space=None):
    from harness.search.optuna import TPESampler

    return TPESampler(SPACE if space is None else space, recorded, seed)


def asked(recorded, count, seed=0):
    tpe, points = sampler(recorded, seed), []
    for number in range(count):
        point = tpe.ask(str(number))
        points.append(point)
        tpe.tell(str(number), None if point is None else 1.0 - point["rate"], False)
    return points


def test_what_follows_the_startup_points_is_of_the_model():
    """Optuna's own default would draw ten points at random first. The best of four is at 0.02."""
    from harness.search.optuna import TPESampler

    space, startup = (
        {"rate": Dimension(scale="log", values=(0.001, 1.0))},
        [{"rate": rate} for rate in (0.02, 0.2, 0.9)],
    )
    proposed = []
    for seed in range(20):
        tpe: Any = TPESampler(space, [trial(0, rate=0.002)], seed, (), startup)
        given = [tpe.ask(str(number)) for number in range(4)]
        assert given[1:] == startup
        for number, point in enumerate(given):
            tpe.tell(str(number), -abs(math.log(point["rate"] / 0.02)), False)
        proposed.append(tpe.ask("4")["rate"])
    assert sum(0.005 < rate < 0.08 for rate in proposed) > 12, "of points at random some 8"


def test_the_same_seed_and_records_give_the_same_points():
    recorded = [trial(0)]
    assert asked(recorded, 15, seed=3) == asked(recorded, 15, seed=3)
    assert asked(recorded, 15, seed=3) != asked(recorded, 15, seed=4)


def test_a_configuration_that_stands_outside_the_space_is_no_point_of_it():
    recorded = [trial(0, rate=5.0), trial(1, rate=0.2), trial(2, kind=None), trial(3)]
    assert asked(recorded, 4) == [None, recorded[1].varied, None, recorded[3].varied]


def test_failed_trials_and_those_without_a_validation_are_told_as_failures():
    """One whose loss became NaN may have looked good before."""
    import optuna

    tpe = sampler([trial(0)])
    for name, dice, failed in (("0", 0.5, False), ("1", None, False), ("2", 0.5, True), ("3", None, True)):
        tpe.ask(name)
        tpe.tell(name, dice, failed)
    states = [one.state for one in tpe._search._ot_study.trials]
    complete, fail = optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.FAIL
    assert states == [complete, fail, fail, fail]


def test_an_adaptive_study_begins_with_the_points_of_a_headline_search_and_goes_on_with_them(make_tiny):
    tiny = make_search(make_tiny, {"tiny_staged": {}}, {"mode": "adaptive", "trials": 8})
    for begun in (2, 5):  # drivers, the second one after a kill
        session = tiny.session()
        entry, search = session.plan.entries["tiny_staged"], session.plan.loaded.suite.search
        proposals: Any = Study(session, search, entry, 0).proposals()
        given = [proposals.next(str(number)).planned.trial.varied for number in range(begun)]
    drawn = draw_sobol_points(entry.space, 4, ("tiny_staged", 0, search.seed))
    assert given[1:4] == drawn[:3]
    assert given[4] != drawn[3]
