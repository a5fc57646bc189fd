"""Rules about what a method may change: augmentation, engine settings, network, loss, what is tested."""

from collections.abc import Callable, Iterator, Sequence

from harness.audit.finding import Verdict, combine, held, not_applicable, not_held, not_held_by_results
from harness.audit.records import AuditedSuite, SelectedRun
from harness.audit.rule import UNSEEN, counted, group_by_entry, group_runs, one_value, rule, spread
from harness.leaderboard.conditions import describe_differences, show_tolerance
from harness.records.schema import Observed

ENOUGH_IMAGES = 16
"""Compared images of a run from which a declared alteration that never showed is a violation."""


@rule(19, needs="runs")
def one_augmentation(suite: AuditedSuite) -> Verdict:
    asked = _same_but_baselines(suite, "the engine's augmentation", lambda run: run.asked.engine.augmentation)
    if not suite.finished:
        return asked
    if other := [run for run in suite.finished if run.observed.sampled != run.asked.engine.augmentation]:
        return combine(asked, not_held(other, "the sampler applied another augmentation than run.json asks for"))
    return combine(asked, held(f"applied as asked in {counted(len(suite.finished), 'run')} (result.json)"))


def _same_but_baselines(suite: AuditedSuite, what: str, value: Callable[[SelectedRun], str]) -> Verdict:
    """One value of all runs but those of entries such as supervised_strong."""
    baselines = group_by_entry(run for run in suite.runs if run.entry in suite.declared_baselines)
    others = [run for run in suite.runs if run.entry not in suite.declared_baselines]
    lines = [f"labelled-only baseline {entry} declares {value(runs[0])}" for entry, runs in baselines.items()]
    return combine(*([one_value(others, what, value)] if others else []), *([held(*lines)] if lines else []))


@rule(20)
def declared_augmentation(suite: AuditedSuite) -> Verdict:
    problems = [(run, problem) for run in suite.finished for problem in image_problems(run.observed)]
    if problems:
        guilty, lines = zip(*problems, strict=True)
        return not_held_by_results(guilty, "images reached the tested network otherwise than declared", lines)
    methods = group_by_entry(suite.finished).items()
    return held(*(f"{method}: {_seen([run.observed for run in runs])}" for method, runs in methods))


def image_problems(observed: Observed) -> Iterator[str]:
    """What a method did to its images and does not declare, or declares and did not do."""
    declared = " and ".join(observed.declared)
    for kind in ("mixed", "altered"):
        count = observed.images[kind]
        if count and kind not in observed.declared:
            compared = sum(observed.images.values())
            yield f"{count} of {compared} compared images were {kind}, declared is {declared or 'nothing'}"
    changed = observed.images_mixed + observed.images_altered
    if observed.declared and not changed and observed.images_same >= ENOUGH_IMAGES:
        yield f"declared is {declared}, none of {observed.images_same} compared images was"


def _seen(observations: Sequence[Observed]) -> str:
    totals = {kind: sum(observed.images[kind] for observed in observations) for kind in ("same", "mixed", "altered")}
    if not sum(totals.values()):
        return "not seen: the tested network was not called in training"
    declared = " and ".join(observations[0].declared) or "nothing"
    steps = sum(observed.steps for observed in observations)
    images = ", ".join(f"{count:,} {kind}" for kind, count in totals.items() if count)
    return f"declares {declared}; of the images of {counted(steps, 'step')} {images}"


@rule(21, needs="runs")
def one_engine(suite: AuditedSuite) -> Verdict:
    studies = {entry.run: entry.trial.study for entry in suite.selection.entries if entry.trial is not None}
    several = len(set(studies.values())) > 1

    def chosen_for(run: SelectedRun) -> str:
        return f"{run.entry} study {studies[run.id]}" if several and run.id in studies else run.entry

    by_choice = group_runs(suite.runs, chosen_for)
    uneven = [runs for runs in by_choice.values() if len({run.asked.engine for run in runs}) > 1]
    if uneven:
        return not_held([run for runs in uneven for run in runs], "one method has several engine settings in run.json")
    declared = {
        name: describe_differences([runs[0].asked.engine], suite.selection.engine) for name, runs in by_choice.items()
    }
    own = {runs[0].entry for name, runs in by_choice.items() if declared[name]}
    lines = [f"{name} declares {text}" for name, text in declared.items() if text]
    methods = counted(len(group_by_entry(suite.runs)), "method")
    return held(f"{methods}, {len(own)} with settings of its own (run.json)", *lines)


@rule(22)
def one_network(suite: AuditedSuite) -> Verdict:
    size = one_value(
        suite.finished,
        "parameters of the tested network",
        lambda run: f"{run.result.parameters_predictor:,}",
        "result.json",
    )
    trained = "; ".join(
        f"{method} {spread([run.result.parameters_training for run in runs])}"
        for method, runs in group_by_entry(suite.finished).items()
    )
    return combine(size, held(f"trained parameters: {trained}"))


@rule(23, needs="selection")
def one_loss(suite: AuditedSuite) -> Verdict:
    unseen = not_applicable(f"{UNSEEN}read harness/api/losses.py and the method; equal seeds start equal by design")
    if len({run.asked.engine.loss for run in suite.runs}) <= 1:
        return unseen
    return combine(_same_but_baselines(suite, "the labelled loss", lambda run: run.asked.engine.loss), unseen)


@rule(24, needs="selection")
def alike_test(suite: AuditedSuite) -> Verdict:
    student = not_applicable(f"{UNSEEN}whether it is the student that is tested; read the method's `predictor`")
    return combine(one_value(suite.runs, "the test", _test), student) if suite.runs else student


def _test(run: SelectedRun) -> str:
    engine, in_2d = run.asked.engine, len(run.asked.preprocessing.size) == 2
    steps = "the field's" if engine.window_stride is None else " x ".join(map(str, engine.window_stride))
    windows = "whole slices" if in_2d else f"windows at {steps} steps"
    kept = "the largest component of each class alone" if engine.largest_component else "as predicted"
    return f"{windows}, {kept}, surface Dice at {show_tolerance(engine)}"
