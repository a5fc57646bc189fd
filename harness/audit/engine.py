"""Rules about what a method may change: augmentation, engine settings, network, loss, what is tested."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from harness.audit.evidence import (
    NOT_RECORDED,
    UNSEEN,
    broken,
    counted,
    groups,
    held,
    names,
    not_applicable,
    nothing_finished,
    one_value,
    spread,
    together,
    unseen_by_old_versions,
)
from harness.audit.finding import Verdict
from harness.audit.records import Finished, SuiteRecords, UnitRecords
from harness.audit.rule import rule
from harness.records.schema import Engine, Observed

ENOUGH_IMAGES = 16
"""Compared images of a unit from which a declared alteration that never showed is a breach."""


@rule(
    19,
    "One weak augmentation for all methods",
    "In one published line the new method's images were augmented otherwise than its baselines'.",
    practices=(14,),
)
def one_augmentation(suite: SuiteRecords) -> Verdict:
    """The engine's augmentation in unit.json is the same for every unit.

    It is also what the engine's sampler applied (`observed` in result.json).
    """
    if not suite.units:
        return nothing_finished(suite)
    asked = one_value(suite.units, "the engine's augmentation", lambda one: one.unit.engine.augmentation, "unit.json")
    watched = [(one, one.observed) for one in suite.finished if one.observed is not None]
    other = [one.records for one, seen in watched if seen.sampled != one.unit.engine.augmentation]
    applied = held(f"applied as asked in {counted(len(watched), 'unit')} (result.json)") if watched else None
    if other:
        applied = broken(other, f"the sampler applied another augmentation than unit.json asks for: {names(other)}")
    old = not_applicable(*unseen_by_old_versions(suite.finished))
    return together(asked, applied, old) if applied else together(asked, old)


@rule(
    20,
    "What else a method does to its images is declared",
    "Mixing, jitter and blur for the new method alone: such a table cannot tell what the rest of the method adds.",
    practices=(14,),
)
def declared_augmentation(suite: SuiteRecords) -> Verdict:
    """Images that reach the tested network are compared with the engine's batch, bit by bit.

    In the first step of each stage and the first after each look: mixed (cutmix, classmix) or altered (jitter,
    blur, noise, warps) images must be declared by the method's `augmentation`, and what is declared must show.
    """
    watched = [(one, one.observed) for one in suite.finished if one.observed is not None]
    old = not_applicable(*unseen_by_old_versions(suite.finished))
    if not watched:
        return old if old.evidence else nothing_finished(suite)
    wrong = [(one, seen, problem) for one, seen in watched for problem in _problems(seen)]
    if wrong:
        lines = [f"{one.records.name}/result.json: {problem}" for one, _, problem in wrong]
        guilty = [one.records for one, _, _ in wrong]
        return broken(guilty, "images reached the tested network otherwise than declared", *lines)
    by_method = groups([one.records for one, _ in watched], lambda one: one.slot.method)
    lines = [f"{method}: {_seen([seen for one, seen in watched if one.row == method])}" for method in by_method]
    return together(held(*lines), old)


def _problems(seen: Observed) -> Iterator[str]:
    for kind, count in (("mixed", seen.images_mixed), ("altered", seen.images_altered)):
        if count and kind not in seen.declared:
            declared = " and ".join(seen.declared) or "nothing"
            yield f"{count} of {sum(seen.images.values())} compared images were {kind}, declared is {declared}"
    changed = seen.images_mixed + seen.images_altered
    if seen.declared and not changed and seen.images_same >= ENOUGH_IMAGES:
        yield f"declared is {' and '.join(seen.declared)}, none of {seen.images_same} compared images was"


def _seen(units: Sequence[Observed]) -> str:
    totals = {kind: sum(seen.images[kind] for seen in units) for kind in ("same", "mixed", "altered")}
    if not sum(totals.values()):
        return "not seen: the tested network was not called in training"
    declared = " and ".join(units[0].declared) or "nothing"
    steps = sum(seen.steps for seen in units)
    found = ", ".join(f"{count:,} {kind}" for kind, count in totals.items() if count)
    return f"declares {declared}; of the images of {counted(steps, 'step')} {found}"


@rule(
    21,
    "One engine setting for all methods; what differs is declared in the suite and shown",
    "Published rates follow a polynomial, a staircase or a constant, within the rows of one table.",
    practices=(9,),
)
def one_engine(suite: SuiteRecords) -> Verdict:
    """The engine settings in unit.json are the suite's (selection.json) or one other set for a whole method.

    Where a search chose them, one set for each of its studies. Methods with settings of their own are listed here and
    on the leaderboard.
    """
    if not suite.units:
        return nothing_finished(suite)
    common = suite.selection.engine
    if common is None:
        return not_applicable(f"{NOT_RECORDED}selection.json of an early version does not hold the suite's settings")
    by_method = groups(suite.units, _row_and_study(suite))
    uneven = [members for members in by_method.values() if len({one.unit.engine for one in members}) > 1]
    if uneven:
        guilty = [one for members in uneven for one in members]
        return broken(guilty, f"one method has several engine settings in unit.json: {names(guilty)}")
    declared = {method: differences(members[0].unit.engine, common) for method, members in by_method.items()}
    lines = [f"{method} declares {text}" for method, text in declared.items() if text]
    methods = {one.slot.method for one in suite.units}
    own = {members[0].slot.method for row, members in by_method.items() if declared[row]}
    return held(f"{counted(len(methods), 'method')}, {len(own)} with settings of its own (unit.json)", *lines)


def _row_and_study(suite: SuiteRecords) -> Callable[[UnitRecords], str]:
    """Names a unit's row, and the study of the search that chose its settings where there were several."""
    study = {entry.unit: entry.trial.study for entry in suite.selection.entries if entry.trial is not None}
    if len(set(study.values())) < 2:
        return lambda one: one.slot.method
    return lambda one: one.slot.method + (f" study {study[one.folder.id]}" if one.folder.id in study else "")


def differences(engine: Engine, common: Engine) -> str:
    """Settings of `engine` that `common` has otherwise: "optimiser.nesterov True"; empty if there are none."""
    ours, theirs = _flat(engine), _flat(common)  # a setting that is None stands in neither
    named = {name: ours.get(name) for name in {**theirs, **ours}}
    return ", ".join(f"{name} {value}" for name, value in named.items() if value != theirs.get(name))


def _flat(engine: Engine) -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in engine.model_dump().items():
        below = value.items() if isinstance(value, dict) else ()
        flat |= {f"{name}.{inner}": one for inner, one in below} if isinstance(value, dict) else {name: value}
    return flat


@rule(
    22,
    "One network is tested for all methods",
    "Same name, other up-sampling; a backbone that was silently improved for the new method alone.",
    practices=(17,),
)
def one_network(suite: SuiteRecords) -> Verdict:
    """The tested network has the same number of parameters in every result.json.

    What a method trains beside it is shown.
    """
    if not suite.finished:
        return nothing_finished(suite)
    size = one_value(
        [one.records for one in suite.finished],
        "parameters of the tested network",
        lambda one: "" if one.result is None else f"{one.result.parameters_predictor:,}",
        "result.json",
    )
    trained = groups([one.records for one in suite.finished], lambda one: one.slot.method)
    shown = "; ".join(f"{method} {_trained(method, suite.finished)}" for method in trained)
    return together(size, held(f"trained parameters: {shown}"))


def _trained(method: str, finished: Sequence[Finished]) -> str:
    return spread([one.result.parameters_training for one in finished if one.row == method])


@rule(
    23,
    "One loss for the labelled part, one initialisation",
    "Dice with or without background, squared or not, with or without cross-entropy: the floor moves with each.",
    practices=(18,),
)
def one_loss(_suite: SuiteRecords) -> Verdict:
    """Not visible in records.

    Methods take the labelled loss from harness/api/losses.py, the engine draws initial weights from the
    unit's seed, and a test holds that equal seeds give every method the same backbone.
    """
    return not_applicable(f"{UNSEEN}read harness/api/losses.py and the method; equal seeds start equal by design")


@rule(
    24,
    "The student is tested, and all methods alike: without post-processing, or all with the same",
    "Averaged weights, or the largest component alone, for one row of a table.",
    practices=(19, 20),
)
def alike_test(suite: SuiteRecords) -> Verdict:
    """The stride of windows and the switch `largest_component` in unit.json are the same for every unit.

    The engine has no other post-processing than that switch: it takes the class of the highest score of the
    method's `predictor`. That this is the student is not visible in records; read the method.
    """
    student = not_applicable(f"{UNSEEN}whether it is the student that is tested; read the method's `predictor`")
    return together(one_value(suite.units, "the test", _test, "unit.json"), student) if suite.units else student


def _test(one: UnitRecords) -> str:
    engine, in_2d = one.unit.engine, len(one.unit.preprocessing.size) == 2
    steps = "the field's" if engine.window_stride is None else " x ".join(map(str, engine.window_stride))
    windows = "whole slices" if in_2d else f"windows at {steps} steps"
    return f"{windows}, {'the largest component of each class alone' if engine.largest_component else 'as predicted'}"
