"""Hyper-parameters of methods with several stages: what each gets of the budget, and how fast it learns there."""

from __future__ import annotations

import math
from typing import Any

from pydantic import Field, model_validator

from harness.api.method import Stage
from harness.api.params import Dimension, MethodParams, Point, rounded

SHARE, RATE, RATIO = "share_", "rate_", "ratio_"
RATIOS = Dimension(scale="log", values=(0.25, 4.0))
"""What a search tries for a stage's share over the last one's, in terms of the paper's."""
RATES = Dimension(scale="log", values=(0.1, 10.0))
"""What a search tries for a stage's learning rate over the last one's."""


def share(paper: float, doc: str) -> Any:  # noqa: ANN401 - a pydantic field stands where its value will
    """Declare `share_NAME`, the share of a stage, in a `StagedParams` class.

    paper: the paper's: the default, and what a search's ratios are relative to; 0 in a variant without the stage.
    doc: which stage it is, in a few words.
    """
    return Field(paper, description=f"share of the budget for {doc}; 0 leaves it out", ge=0, le=1)


def rate(doc: str) -> Any:  # noqa: ANN401
    """Declare `rate_NAME`, the learning-rate factor of a stage, 1 by default.

    doc: which stage it is, in a few words.
    """
    return Field(1.0, description=f"factor on the learning rate in {doc}", gt=0)


class StagedParams(MethodParams):
    """Base of the `Params` of every method with several stages, which so have the same freedom.

    A subclass declares `share_NAME: float = share(...)` and `rate_NAME: float = rate(...)` for each stage, in order.
    A search then varies two things of each stage but the last: `ratio_NAME`, its share over the last stage's in terms
    of the paper's (1 is the paper's, and shares add up to 1 wherever it goes), and `rate_NAME`. The last stage's share
    follows from the others; its learning rate is the engine's, which a suite searches for all methods alike.
    """

    @model_validator(mode="after")
    def _whole_budget(self) -> StagedParams:
        shares = self._shares()
        names, total = [SHARE + name for name in shares], math.fsum(shares.values())
        if abs(total - 1.0) > 1e-9:
            raise ValueError(f"{', '.join(names[:-1])} and {names[-1]} must add up to 1, not to {total:g}")
        if not shares[names[-1].removeprefix(SHARE)]:
            raise ValueError(f"{names[-1]} must be above 0: the last stage trains what is tested")
        return self

    def stages(self) -> tuple[Stage, ...]:
        """The stages with a share above 0 in their order, as `Method.stages` gives them; shares add up to 1."""
        return tuple(Stage(name, own, getattr(self, RATE + name)) for name, own in self._shares().items() if own > 0)

    def space(self) -> dict[str, Dimension]:
        """The fields', and ratio and rate of each stage but the last; a stage that is left out has none."""
        staged = [stage.name for stage in self.stages()[:-1]]
        ratios, rates = ({prefix + name: own for name in staged} for prefix, own in ((RATIO, RATIOS), (RATE, RATES)))
        return {**super().space(), **ratios, **rates}

    def current_value(self, name: str) -> Any:  # noqa: ANN401 - whatever the dimension's values are
        """As for any field; a stage's ratio to six digits, as in every point."""
        stage = name.removeprefix(RATIO)
        if stage == name or stage not in self._shares():
            return super().current_value(name)
        return rounded(self._ratio(stage))

    def with_values(self, point: Point) -> dict[str, Any]:
        """As for any field; with a stage's ratio the shares of all stages move."""
        names = list(self._shares())
        ratios = {name: point[RATIO + name] for name in names if RATIO + name in point}
        moved = {RATIO + name for name in ratios}
        plain = super().with_values({name: value for name, value in point.items() if name not in moved})
        if not ratios:
            return plain
        weights = {name: self._paper(name) * ratios.get(name, self._ratio(name)) for name in names}
        total = math.fsum(weights.values())
        return plain | {SHARE + name: weight / total for name, weight in weights.items()}

    def _shares(self) -> dict[str, float]:
        """By the stage's name, in their order."""
        names = [name for name in type(self).model_fields if name.startswith(SHARE)]
        return {name.removeprefix(SHARE): getattr(self, name) for name in names}

    def _paper(self, stage: str) -> float:
        """The default share; 1, as good as any, where a variant leaves the stage out."""
        return float(type(self).model_fields[SHARE + stage].default) or 1.0

    def _ratio(self, stage: str) -> float:
        """Share of a stage over the last one's, in terms of the paper's."""
        shares = self._shares()
        *_, last = shares
        return shares[stage] / shares[last] / (self._paper(stage) / self._paper(last))
