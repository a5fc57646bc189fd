"""The trials of a search: the points of every entry, and the runs that measure them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from harness.api.params import Point
from harness.records.schema import DatasetRef, Run, Trial
from harness.suite.entries import Entry
from harness.suite.load import LoadedSuite, Search
from harness.suite.points import combine_choices, draw_sobol_points

PROBES = 64
"""Points of an adaptive search's space that are tried in the plan."""


@dataclass(frozen=True)
class PlannedTrial:
    """A trial and its run."""

    trial: Trial
    run: Run

    def on_data(self, data: DatasetRef) -> PlannedTrial:
        """The same trial on another version of the data."""
        run = self.run.model_copy(update={"dataset": data})
        return PlannedTrial(self.trial.model_copy(update={"run": run.id}), run)


def make_trials(loaded: LoadedSuite, entries: Mapping[str, Entry], data: DatasetRef) -> tuple[PlannedTrial, ...]:
    """All trials that can be named before any has run, point by point, so that entries advance together.

    A point that equals an earlier one of its entry and study is left out: the same run would measure it. An adaptive
    search names only the default here. Its other points depend on results.
    """
    search = loaded.suite.search
    if search is None:
        return ()
    trials: list[PlannedTrial] = []
    for study in range(search.studies):
        points = {name: _points(loaded, entry, study) for name, entry in entries.items()}
        most = max(len(own) for own in points.values())
        candidates = (
            make_trial(loaded, entries[name], study, number, own[number], data)
            for number in range(most)
            for name, own in points.items()
            if number < len(own)
        )
        seen: set[tuple[str, str]] = set()
        for planned in candidates:
            key = (planned.trial.entry, planned.run.id)
            if key not in seen:
                seen.add(key)
                trials.append(planned)
    return tuple(trials)


def make_trial(
    loaded: LoadedSuite, entry: Entry, study: int, number: int, point: Point, data: DatasetRef
) -> PlannedTrial:
    """One point of one entry, and its run."""
    search = _search(loaded)
    try:
        params, engine = entry.params_at(point), entry.engine_at(point)
    except ValidationError as error:
        raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params) from None
    run = Run(
        role="search",
        method=entry.method.name,
        method_version=entry.method.version,
        params=params.model_dump(mode="json"),
        dataset=data,
        preprocessing=loaded.suite.preprocessing,
        labelled=None if entry.takes_all_labels else search.labelled,
        subset=0 if entry.takes_all_labels else search.subset,
        seed=search.seed + study,
        engine=engine.model_copy(update={"validations": search.validations}),
        budget=search.budget,
    )
    varied = {**entry.current_values(), **point}
    return PlannedTrial(Trial(entry=entry.name, study=study, point=number, varied=varied, run=run.id), run)


def _points(loaded: LoadedSuite, entry: Entry, study: int) -> list[dict[str, Any]]:
    """The default first, then what the mode adds."""
    search = _search(loaded)
    if search.mode == "adaptive":
        _check_inside(loaded, entry)
        return [{}]
    if search.mode == "grid":
        try:
            return [point for point in combine_choices(entry.space) if _possible(entry, point)]
        except ValueError as error:
            raise loaded.error(("methods", entry.name), str(error)) from None
    if not entry.space:
        return [{}]
    return [{}, *draw_sobol_points(entry.space, (search.trials or 1) - 1, (entry.name, study, search.seed))]


def _check_inside(loaded: LoadedSuite, entry: Entry) -> None:
    """Refuse a space with impossible points now, by points drawn from it, and not in the middle of a search."""
    for point in draw_sobol_points(entry.space, PROBES, (entry.name, "probe")):
        try:
            entry.params_at(point)
        except ValidationError as error:
            raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params) from None


def _possible(entry: Entry, point: Point) -> bool:
    try:
        entry.params_at(point)
    except ValidationError:
        return False
    return True


def _search(loaded: LoadedSuite) -> Search:
    if loaded.suite.search is None:
        raise ValueError(f"{loaded.path}: the suite has no search")
    return loaded.suite.search
