import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.records.lease import LeaseLostError
from harness.records.owner import Owner
from harness.records.run_folder import RunFolder
from harness.train import trainer as trainer_module
from harness.train.attempt import Attempt
from harness.train.history import History
from harness.train.measure import Validator
from tests.records.test_lease import write_lease
from tests.support import LIMIT_SECONDS, wait_until
from tests.train.tiny import StopAfter, train

pytestmark = pytest.mark.slow

STAGED = "tiny_staged/2/0/0"


def rename(path):
    path.rename(path.with_name(f"{path.name}-renamed"))


LOSSES: dict[str, Callable[[Path], object]] = {
    "another owner": lambda run: write_lease(run / "lease", Owner.this().model_copy(update={"pid": 1})),
    "run renamed": rename,
    "run removed": shutil.rmtree,
    "suite renamed": lambda run: rename(run.parent.parent),
}
MOMENTS = {
    "a checkpoint": (trainer_module, "save_checkpoint"),
    "a history part": (History, "drain"),
    "a validation": (Validator, "validate"),
    "validations.jsonl": (RunFolder, "write_validations"),
    "a ledger line": (Attempt, "write"),
    "predictions": (RunFolder, "write_predictions"),
    "test cases": (RunFolder, "write_cases"),
    "the merged history": (History, "merge"),
    "the result": (RunFolder, "write_result"),
}


def content_of(root):
    paths = sorted(root.rglob("*"))
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in paths}


class LoseAfter(StopAfter):
    def __init__(self, steps, lose):
        super().__init__(10**9)
        self._steps = steps
        self._lose = lose

    def is_set(self):
        if self._steps == 0:
            self._lose()
        self._steps -= 1
        return super().is_set()


def lost_during(tiny, planned, loss, **settings):
    folder, left = tiny.folder(planned), dict[str, bytes | None]()

    def lose():
        if not left:
            LOSSES[loss](folder.path)
            left.update(content_of(tiny.store.parent))

    with pytest.raises(LeaseLostError, match="was lost"):
        train(tiny, planned, **{name: make(lose) for name, make in settings.items()})
    assert left, "it was never lost"
    assert content_of(tiny.store.parent) == left


@pytest.mark.parametrize(("loss", "steps"), list(zip(LOSSES, [0, 3, 10, 19], strict=True)))
def test_between_steps(loss, steps, make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 20})
    lost_during(tiny, STAGED, loss, stop=lambda lose: LoseAfter(steps, lose), checkpoint_seconds=lambda _: 0.0)


@pytest.mark.parametrize("moment", MOMENTS)
def test_just_before_a_write(moment, make_tiny, monkeypatch):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 8})
    place, name = MOMENTS[moment]
    real = getattr(place, name)

    def make(lose):
        def write(*arguments, **named):
            lose()
            return real(*arguments, **named)

        monkeypatch.setattr(place, name, write)
        return 1000.0

    lost_during(tiny, STAGED, "run renamed", checkpoint_seconds=make)


@pytest.mark.parametrize(("method", "loss"), [("tiny_error", "another owner"), ("tiny_peek", "run removed")])
def test_a_failure_after_the_loss_is_no_failure_of_the_run(method, loss, make_tiny):
    tiny = make_tiny({method: {}}, budget={"steps": 8})
    lost_during(tiny, f"{method}/2/0/0", loss, stop=lambda lose: LoseAfter(1, lose))


def test_the_command_line_says_so(make_tiny):
    """Stopped for a while, as a suspended machine is; awake again it must not write over the other's records."""
    tiny = make_tiny({"tiny_staged": {"pause_seconds": 0.05}}, budget={"steps": 4000})
    folder = tiny.folder(STAGED)
    process = tiny.start("train", STAGED, "--checkpoint-seconds", "1.5")
    try:
        wait_until(folder.checkpoint.exists, "it trains", process=process)
        time.sleep(0.3)  # the next write is a second away
        os.kill(process.pid, signal.SIGSTOP)
        LOSSES["another owner"](folder.path)
        before = content_of(tiny.runs)
        os.kill(process.pid, signal.SIGCONT)
        assert process.wait(LIMIT_SECONDS) == 75, tiny.output
    finally:
        process.kill()
        process.wait()
    assert content_of(tiny.runs) == before
    assert "was lost" in tiny.output
    assert "Traceback" not in tiny.output
