"""All lines of the check, in their order, and how each comes to its outcome."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.api.method import Method
from harness.check import capture, contract, network, repeat, step
from harness.check.isolation import SETTERS, changed_settings, settings, undisturbed
from harness.check.outcome import FaultError, NotApplicableError, Outcome
from harness.check.places import place_in_files, place_of_error, place_of_text
from harness.check.rig import Rig, rig_of
from harness.check.subject import load

DIMENSIONS = (2, 3)
KINDS = {2: "slices", 3: "patches"}
STATES = ("failed", "passed", "does not apply")
"""Of several outcomes of a line the first of these counts."""


@dataclass(frozen=True)
class Line:
    """A rule and what tries it on a task: it returns the evidence, or raises what is wrong.

    once:   it is tried on slices alone where both are served: it says the same of patches, which take longer.
    needed: where it fails, the lines after it cannot be tried.
    """

    name: str
    try_on: Callable[[Rig], str]
    once: bool = False
    needed: bool = False


LINES = (
    Line("definition", contract.definition, once=True, needed=True),
    Line("params", contract.params, once=True),
    Line("builds", contract.builds, needed=True),
    Line("stages", contract.stages, needed=True),
    Line("predictor", network.predictor),
    Line("loss", network.loss),
    Line("host copies", step.host_copies),
    Line("batch", step.batch, once=True),
    Line("state", repeat.state, once=True),
    Line("randomness", repeat.randomness, once=True),
    Line("side effects", repeat.side_effects, once=True),
    Line("augmentation", network.augmentation, once=True),
    Line("capture", capture.capture, once=True),
    Line("test split", repeat.test_split, once=True),
    Line("budget", step.budget, once=True),
    Line("cost", step.cost, once=True),
)


def check(target: str) -> Iterator[Outcome]:
    """Try every rule on a method, one when it is asked for; an outcome for each of `LINES`.

    target: name of a registered method, a dotted module, or a file; `:Class` behind it chooses among several.

    Raises `UsageError` where there is no such method, module or file, or several classes are meant.
    """
    try:
        with undisturbed():
            before = settings()
            kind = load(target)
            on_import = [name for name in changed_settings(before) if name.startswith("torch's")]
    except FaultError as fault:
        yield Outcome(LINES[0].name, "failed", str(fault), fault.place)
        yield from (_untried(line, LINES[0].name) for line in LINES[1:])
        return
    broken, first_of = "", dict[tuple[str, str], str]()
    for line in LINES:
        if broken:
            yield _untried(line, broken)
            continue
        outcome = try_line(line, kind)
        if line.try_on is repeat.side_effects and on_import:
            text = f"its import changes {on_import[0]}"
            outcome = Outcome(line.name, "failed", text, place_in_files(kind, SETTERS))
        if outcome.state == "failed":  # an error that every step raises is said once
            first = first_of.setdefault((outcome.text, outcome.place), line.name)
            outcome = outcome if first == line.name else _untried(line, first)
        yield outcome
        broken = line.name if line.needed and outcome.state == "failed" else ""


def _untried(line: Line, broken: str) -> Outcome:
    return Outcome(line.name, "does not apply", f"mend {broken!r} first")


def try_line(line: Line, kind: type[Method], dimensions: Sequence[int] = DIMENSIONS) -> Outcome:
    """What one line comes to, on slices (2) and on patches (3) as far as the method serves them."""
    rigs = [rig_of(kind, dimension) for dimension in dimensions]
    refusals = [_refusal(rig) for rig in rigs]
    served = [rig for rig, why in zip(rigs, refusals, strict=True) if why is None] or rigs
    outcomes = [_try(line, rig) for rig in (served[:1] if line.once else served)]
    worst = min(outcomes, key=lambda outcome: STATES.index(outcome.state))
    if len({outcome.state for outcome in outcomes}) > 1:
        return replace(worst, text=f"{served[outcomes.index(worst)].task.dimension}D: {worst.text}")
    if line.try_on is contract.builds and len(served) < len(rigs) and worst.state == "passed":
        why = next(filter(None, refusals))
        return replace(worst, text=f"serves {KINDS[served[0].task.dimension]} alone: {why}")
    return worst


def _refusal(rig: Rig) -> str | None:
    """Why a method says that it does not serve a task; None where it builds, or fails to build."""
    try:
        with undisturbed():
            return contract.refusal(rig)
    except (Exception, SystemExit):  # noqa: BLE001 - the line itself meets it, and says where
        return None


def _try(line: Line, rig: Rig) -> Outcome:
    kind = rig.kind
    whole = rf"\s*class {kind.__name__}\b"
    try:
        with undisturbed():
            return Outcome(line.name, "passed", line.try_on(rig))
    except NotApplicableError as why:
        return Outcome(line.name, "does not apply", str(why))
    except FaultError as fault:
        return Outcome(line.name, "failed", str(fault), fault.place or place_of_text(kind, whole))
    except (Exception, SystemExit) as error:  # noqa: BLE001 - anything may go wrong in a method
        hook, place = place_of_error(error, rig.roots)
        what = f"{type(error).__name__}: {' '.join(str(error).split())}"
        text = f"{hook} raises {what}" if hook else what
        return Outcome(line.name, "failed", text, place or place_of_text(kind, whole))
