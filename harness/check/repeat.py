"""Lines on what a run depends on: resumed or not, seeded otherwise, beside another run, with the test split closed."""

import ast
import io
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import torch

from harness.api.errors import ClosedSplitError
from harness.check.isolation import SETTERS, changed_settings, settings
from harness.check.outcome import FaultError
from harness.check.places import files_of, place_in_files, place_of_text, shown
from harness.check.rig import Rig, Trained, content, first_difference, reference, steps, train
from harness.data.permit import keep_closed
from harness.evaluation.predict import inference
from harness.train.build import go_on
from harness.train.checkpoint import generator_states, set_generator_states

CLOSED_MODULES = (
    *(f"harness.{name}" for name in ("data", "evaluation", "records", "suite", "train", "prediction", "pipeline")),
    "benchmarks",
)
"""What reads scans and labels; a method imports `harness.api`."""
FOREIGN_DRAWS = r"\b(np|numpy)\.random\b|\brandom\.\w+\("
CHANGES = r"\s*([-+*/|&]?=|:.*=|\[.*=|\.(append|add|extend|update|pop)\w*\()"
"""What stands behind an attribute that a line changes."""
OWN_DRAWS = r"default_rng|Generator\(|urandom|secrets\.|time\.|uuid|\bhash\(|\bid\("


def state(rig: Rig) -> str:
    """Interrupted in the middle of any stage and gone on with from its checkpoint, it trains to the same bits."""
    whole = reference(rig)
    for number, file in whole.checkpoints.items():
        resumed = rig.state(seed=1)
        try:
            go_on(resumed, torch.load(io.BytesIO(file), weights_only=True))
        except Exception as error:
            raise FaultError(f"its checkpoint cannot be gone on from: {type(error).__name__}: {error}") from error
        if where := first_difference(whole.trained, train(resumed, started=True)):
            name, place = place_of_change(rig)
            lost = f"; {name} changes in training and is not in the state dict" if name else ""
            raise FaultError(f"resumed after step {number} it trains otherwise: {where}{lost}", place)
    return f"interrupted after steps {', '.join(map(str, whole.checkpoints))}: the same to the bit"


def place_of_change(rig: Rig) -> tuple[str, str]:
    """An attribute outside the state dict that training changes, and where; empty where there is none."""
    for kind, name in reference(rig).changed:
        return f"self.{name}", place_of_text(kind, rf".*\bself\.{name}\b{CHANGES}")
    return "", ""


def randomness(rig: Rig) -> str:
    """Equal states of torch's default generators give equal weights, whatever Python's and numpy's generators hold."""
    for part in rig.build().modules():
        for name, value in vars(part).items():
            if isinstance(value, torch.Generator | np.random.Generator | np.random.RandomState | random.Random):
                why = f"self.{name} is a generator of its own, which no checkpoint holds"
                raise FaultError(why, place_of_text(type(part), rf".*\bself\.{name}\b"))
    whole = reference(rig).trained
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - what a method must not draw from
    before = _foreign_states()
    run = rig.state()
    seed = torch.initial_seed()
    where = first_difference(whole, train(run))
    if torch.initial_seed() != seed:
        why = "seeds torch's generator anew: equal numbers come again and again, in all runs"
        raise FaultError(why, place_in_files(rig.kind, r"\bmanual_seed\(|\bseed\("))
    if _foreign_states() != before:
        raise FaultError("draws from Python's or numpy's generator", place_in_files(rig.kind, FOREIGN_DRAWS))
    if where:
        why = f"two trainings from equal generators differ: {where}"
        raise FaultError(why, place_in_files(rig.kind, OWN_DRAWS))
    return "two trainings from equal generators are equal to the bit"


def _foreign_states() -> tuple[str, str]:
    return repr(random.getstate()), repr(np.random.get_state())  # noqa: NPY002


def side_effects(rig: Rig) -> str:
    """Settings of process and torch stay, and an instance trains beside another one as it does alone."""
    before = settings()
    alone = reference(rig).trained
    beside = _beside_another(rig)
    if changed := changed_settings(before):
        raise FaultError(f"changes {changed[0]}", place_in_files(rig.kind, SETTERS))
    if where := first_difference(alone, beside):
        why = f"two instances in one process disturb each other: {where}; they share a class's or module's variable"
        raise FaultError(why)
    return "no setting changed; two instances train side by side as each alone"


def _beside_another(rig: Rig) -> Trained:
    """Train, with a step of another instance between any two steps; each has generators of its own."""
    other = rig.state(seed=1)
    others = generator_states(other.device)
    neighbour = steps(other)
    run = rig.state()
    losses = []
    for step in steps(run):
        losses.append(step.loss.total.detach().clone())
        ours = generator_states(run.device)
        set_generator_states(run.device, others)
        next(neighbour, None)
        others = generator_states(run.device)
        set_generator_states(run.device, ours)
    return losses, content(run)


def test_split(rig: Rig) -> str:
    """From the first step to the last picture nothing asks for test cases, nor imports what could."""
    for file in files_of(rig.kind):
        for line, name in _imported(Path(file).read_text(encoding="utf-8")):
            if any(name == module or name.startswith(f"{module}.") for module in CLOSED_MODULES):
                why = f"imports {name}; a method gets its images from the engine, and imports harness.api alone"
                raise FaultError(why, shown(file, line))
    asked: list[str] = []
    with keep_closed(asked.append), suppress(ClosedSplitError):  # which has been noted
        run = rig.state()
        train(run)
        with inference(run.method.predictor, run.device):
            run.method.predictor(rig.images)
        diagnostics = run.method.diagnostics()
        arrays = {name: value.cpu().numpy() for name, value in run.method.arrays().items()}
        run.method.figures(arrays, [dict(diagnostics)])
    if asked:
        raise FaultError(asked[0], place_in_files(rig.kind, r"\"test\"|'test'|test_cases|test\.h5"))
    return "not asked for"


def _imported(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:  # not of the author's own package
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)
