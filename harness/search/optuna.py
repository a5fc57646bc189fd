"""Optuna's TPE, through Ray Tune's OptunaSearch, over the search space of an entry."""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from harness.api.errors import suggest
from harness.api.params import Dimension, Point, rounded
from harness.records.schema import Infeasible, Trial

METRIC = "dice"


class TPESampler:
    """Tree-structured Parzen estimator (Bergstra et al., NeurIPS 2011), seeded.

    space:    dimensions by name.
    recorded: earlier trials. `ask` returns their points first, in order: first of all the suite's own configuration,
              from which TPE does not learn where it lies outside the space.
    infeasible: earlier proposals that were refused. TPE keeps away from them.
    startup:  points of the space that `ask` returns after the recorded ones. All others are TPE's own: Optuna would
              draw ten at random first, more than a short search has.
    """

    def __init__(
        self,
        space: Mapping[str, Dimension],
        recorded: Sequence[Trial],
        seed: int,
        infeasible: Sequence[Infeasible] = (),
        startup: Sequence[Point] = (),
    ) -> None:
        import optuna
        from ray.tune.search.optuna import OptunaSearch

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self._space = space
        first = [*(self._inside(trial.varied) for trial in recorded), *map(dict, startup)]
        self._outside = [point is None for point in first]
        self._search = None
        if space:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # experimental features of Optuna's, which Ray turns on
                self._search = OptunaSearch(
                    space={name: distribution(dimension) for name, dimension in space.items()},
                    metric=METRIC,
                    mode="max",
                    points_to_evaluate=[point for point in first if point is not None],
                    sampler=optuna.samplers.TPESampler(n_startup_trials=1, seed=seed),
                )
            for proposal in infeasible:
                point = {name: proposal.varied[name] for name in space}
                self._search.add_evaluated_point(point, 0.0, pruned=True)
        self._known: set[str] = set()

    def ask(self, name: str) -> dict[str, Any] | None:
        """The next point. None for an empty space, or where the configuration lies outside the space."""
        if (self._outside and self._outside.pop(0)) or self._search is None:
            return None
        self._known.add(name)
        point = self._search.suggest(name)
        assert isinstance(point, dict), suggest(name, self._space)
        return {key: within(self._space[key], value) for key, value in point.items()}

    def tell(self, name: str, dice: float | None, failed: bool) -> None:
        """Report a trial's Dice. One that failed has none, even after earlier validations."""
        if self._search is not None and name in self._known:
            result = None if failed or dice is None else {METRIC: dice, "training_iteration": 1}
            self._search.on_trial_complete(name, result, error=result is None)

    def refuse(self, name: str) -> None:
        """Report that a point is infeasible: pruned before its first value, so below all with a score.

        TPE ignores failures.
        """
        assert self._search is not None, "the suite's own configuration is feasible"
        self._search.on_trial_complete(name, None)

    def _inside(self, varied: Mapping[str, Any]) -> dict[str, Any] | None:
        inside = all(name in varied and dimension.holds(varied[name]) for name, dimension in self._space.items())
        return {name: varied[name] for name in self._space} if inside else None


def distribution(dimension: Dimension) -> Any:  # noqa: ANN401 - optuna's
    """One of Optuna's distributions."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    if dimension.scale == "choice":
        return CategoricalDistribution(dimension.values)
    low, high = dimension.values
    return FloatDistribution(low, high, log=dimension.scale == "log")


def within(dimension: Dimension, value: Any) -> Any:  # noqa: ANN401
    """The value with six significant digits, as everywhere in a search, clipped to the dimension."""
    if dimension.scale == "choice":
        return value
    low, high = dimension.values
    return min(max(rounded(value), low), high)
