"""The trials of a search over a suite's entries.

Their points are drawn before anything runs, whatever the timing, workers and machines. Under reference steps a point
that a trial or a final run could not train is infeasible: it is put down, nothing is spent on it, and the next one
takes its place, so that every entry spends the same.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from pydantic import ValidationError

from harness.api.params import Dimension, Point
from harness.api.strict import digest
from harness.records.calibration import Calibration, TooFewStepsError
from harness.records.schema import DatasetRef, Infeasible, Run, Trial
from harness.suite.costs import priced, task_of
from harness.suite.entries import Entry
from harness.suite.load import LoadedSuite, Search
from harness.suite.registry import load_dataset

PROBES = 64
"""Points of an adaptive search's space that are tried in the plan."""

DRAWS = 32
"""Points that a headline search draws for each of its trials at most, until it has enough that differ and can train."""

COARSEST = 0.01
"""Of a trial's reference steps: what a step of its last stage may cost. Whole steps leave up to that unspent."""


@dataclass(frozen=True)
class PlannedTrial:
    trial: Trial
    run: Run


def make_trials(
    loaded: LoadedSuite, entries: Mapping[str, Entry], data: DatasetRef, calibration: Calibration | None = None
) -> tuple[tuple[PlannedTrial, ...], tuple[Infeasible, ...]]:
    """All trials that can be named before any has run, and the proposals that are infeasible.

    They come point by point, so that entries advance together. A point that equals an earlier one of its entry and
    study is left out: the same run would measure it. An adaptive search names only the default. Raises `UsageError`
    where a point is impossible or, with a calibration, entries have different numbers of trials.
    """
    search = loaded.suite.search
    if search is None:
        return (), ()
    trials: list[PlannedTrial] = []
    infeasible: list[Infeasible] = []
    for study in range(search.studies):
        drawn = [_study(loaded, search, entry, study, data, calibration) for entry in entries.values()]
        if calibration is not None:
            _refuse_unequal(loaded, search, {name: len(own) for name, (own, _) in zip(entries, drawn, strict=True)})
        for place in range(max(len(own) for own, _ in drawn)):
            trials += [own[place] for own, _ in drawn if place < len(own)]
        infeasible += [proposal for _, refused in drawn for proposal in refused]
    return tuple(trials), tuple(infeasible)


def _study(
    loaded: LoadedSuite, search: Search, entry: Entry, study: int, data: DatasetRef, calibration: Calibration | None
) -> tuple[list[PlannedTrial], list[Infeasible]]:
    """The trials of one entry in one study, and its infeasible proposals.

    With a calibration a headline search draws until it has as many trials as it asks for: equal budgets of reference
    steps then add up to equal spending. Under another currency a repeated point is not replaced.
    """
    trials: dict[str, PlannedTrial] = {}
    infeasible: list[Infeasible] = []
    draws = 1 if calibration is None else DRAWS
    for number, point in enumerate(_points(loaded, search, entry, study, draws)):
        if search.trials is not None and len(trials) == search.trials:
            break
        proposal = make_trial(loaded, search, entry, study, number, point, data, calibration)
        if isinstance(proposal, Infeasible):
            infeasible.append(proposal)
        else:
            trials.setdefault(proposal.run.id, proposal)
    return list(trials.values()), infeasible


def _refuse_unequal(loaded: LoadedSuite, search: Search, counts: Mapping[str, int]) -> None:
    """Trials have equal budgets, so different numbers of them would tune entries differently."""
    wanted = max(counts.values()) if search.mode == "grid" else search.trials
    for name, count in counts.items():
        if search.mode != "adaptive" and count != wanted:
            problem = f"only {count} of its configurations can be tried, where entries get {wanted} trials each"
            cure = "vary an engine setting for all (search.engine), widen its dimensions or give a larger search.budget"
            raise loaded.error(("methods", name), f"{problem}; {cure}")


def make_trial(
    loaded: LoadedSuite,
    search: Search,
    entry: Entry,
    study: int,
    number: int,
    point: Point,
    data: DatasetRef,
    calibration: Calibration | None = None,
) -> PlannedTrial | Infeasible:
    """One point of one entry, and its run; or why it is infeasible.

    Raises `UsageError` for an impossible point, and where the suite's own configuration is infeasible.
    """
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
        validation_patients=loaded.suite.validation_patients,
        engine=engine.model_copy(update={"validations": search.validations}),
        budget=search.budget,
    )
    varied = {**entry.current_values(), **point}
    try:
        run = _feasible(loaded, run, calibration)
    except TooFewStepsError as error:
        if not point:
            raise loaded.error(("methods", entry.name), f"as the suite has it, it cannot be tried: {error}") from None
        return Infeasible(entry=entry.name, study=study, point=number, varied=varied, reason=str(error))
    return PlannedTrial(Trial(entry=entry.name, study=study, point=number, varied=varied, run=run.id), run)


def _feasible(loaded: LoadedSuite, run: Run, calibration: Calibration | None) -> Run:
    """A trial with its steps by stage, where there is a calibration.

    Raises `TooFewStepsError` where a stage of the trial, or of a final run that takes its choice, has too few steps, or
    where whole steps could leave more than 1 % of the trial unspent.
    """
    trial = priced_in(loaded, run, calibration)
    stages = trial.budget.stages
    if calibration is None or stages is None:
        return trial
    for rung in loaded.suite.budget.rungs:
        priced_in(loaded, run.model_copy(update={"budget": loaded.suite.budget.at(rung)}), calibration)
    ratio = calibration.ratios(trial.calibration.entry if trial.calibration else None).get(stages[-1].name, 1.0)
    if ratio > COARSEST * trial.budget.amount:
        raise TooFewStepsError(
            f"{run.method}: a step of stage {stages[-1].name} costs {ratio:.3g} of {run.budget}, so that trials could "
            f"spend unequally by more than {COARSEST:.0%}; a trial needs {math.ceil(ratio / COARSEST)}"
        )
    return trial


def priced_in(loaded: LoadedSuite, run: Run, calibration: Calibration | None) -> Run:
    """The run with the steps that its reference steps buy, where they are calibrated."""
    if run.budget.reference_steps is None or calibration is None:
        return run
    task = task_of(load_dataset(loaded.suite.dataset), loaded.suite.preprocessing.size)
    return priced(run, loaded.suite.engine, task, calibration)


def _points(loaded: LoadedSuite, search: Search, entry: Entry, study: int, draws: int) -> list[dict[str, Any]]:
    """The default first, then what the mode adds. draws: points of a headline search for each of its trials."""
    if search.mode == "adaptive":
        _check_inside(loaded, entry)
        return [{}]
    if search.mode == "grid":
        try:
            return [point for point in combine_choices(entry.space) if entry.problem_at(point) is None]
        except ValueError as error:
            raise loaded.error(("methods", entry.name), str(error)) from None
    if not entry.space:
        return [{}]
    return drawn_points(search, entry, study, 1 + draws * ((search.trials or 1) - 1))


def drawn_points(search: Search, entry: Entry, study: int, count: int) -> list[dict[str, Any]]:
    """The first `count` points of a study that no score decides: the suite's own, then Sobol points."""
    return [{}, *draw_sobol_points(entry.space, count - 1, (entry.name, study, search.seed))]


def _check_inside(loaded: LoadedSuite, entry: Entry) -> None:
    """Refuse a space with impossible points now, by points drawn from it, and not in the middle of a search."""
    for point in draw_sobol_points(entry.space, PROBES, (entry.name, "probe")):
        if error := entry.problem_at(point):
            raise loaded.invalid(("methods", entry.name, "search"), error, entry.method.Params)


def draw_sobol_points(space: Mapping[str, Dimension], count: int, key: Sequence[str | int]) -> list[dict[str, Any]]:
    """`count` points of a scrambled Sobol sequence (Owen 1998), one coordinate per dimension.

    key: what seeds the scrambling (entry, study, seed): a dimension that one entry gains moves no other's points.
    """
    import numpy as np
    from scipy.stats import qmc

    if count <= 0 or not space:
        return [{} for _ in range(max(count, 0))]
    generator = np.random.default_rng(int(digest(list(key))[:16], 16))
    sequence = qmc.Sobol(len(space), scramble=True, rng=generator)
    shares = sequence.random_base2((count - 1).bit_length())[:count]  # a power of two keeps the sequence balanced
    return [
        {name: dimension.at(float(share)) for (name, dimension), share in zip(space.items(), coordinates, strict=True)}
        for coordinates in shares
    ]


def combine_choices(space: Mapping[str, Dimension]) -> list[dict[str, Any]]:
    """Every combination of the choices, the last dimension fastest. Raises ValueError for a dimension without any."""
    ranges = [name for name, dimension in space.items() if dimension.scale != "choice"]
    if ranges:
        raise ValueError(f"a grid needs choices: list the values of {', '.join(ranges)}, or pin them with null")
    return [
        dict(zip(space, values, strict=True)) for values in product(*(dimension.values for dimension in space.values()))
    ]
