"""SIGUSR2 to real processes: a trial ends for good, a final only stops for now."""

from __future__ import annotations

import signal

import pytest

from harness.records.run_folder import RunFolder
from tests.search.tiny_search import folder_of, make_search
from tests.support import LIMIT_SECONDS, wait_until
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny

pytestmark = pytest.mark.slow

SLOW = {"pause_seconds": 0.05}


def signalled(tiny: Tiny, name: str, folder: RunFolder) -> int | None:
    """The exit code of `harness train` that got SIGUSR2 after its first validation."""
    process = tiny.start("train", name)
    wait_until(folder.validations, "it has a validation", process=process)
    process.send_signal(signal.SIGUSR2)
    return process.wait(LIMIT_SECONDS)


def test_sigusr2_retires_a_trial(make_tiny: MakeTiny) -> None:
    """Exit code 0: it has its record, and nothing will go on with it."""
    tiny = make_search(make_tiny, {"tiny_staged": SLOW}, {"budget": {"steps": 400}, "validations": 40})
    tiny.session()
    folder = folder_of(tiny, "tiny_staged/trial/0/1")
    assert signalled(tiny, "tiny_staged/trial/0/1", folder) == 0, tiny.output
    result = folder.result()
    assert result is not None
    assert result.status == "ended_early"
    assert 10 <= result.spent.useful_steps < 400
    assert (result.spent.lost_steps, len(result.validations)) == (0, result.spent.useful_steps // 10)
    assert not folder.lease.held()
    assert "cases.parquet" not in {path.name for path in folder.path.iterdir()}
    assert "Traceback" not in tiny.output


def test_sigusr2_only_interrupts_a_final(make_tiny: MakeTiny) -> None:
    tiny = make_tiny({"tiny_staged": SLOW}, budget={"steps": 400}, engine={"validations": 40})
    folder = tiny.folder("tiny_staged/2/0/0")
    assert signalled(tiny, "tiny_staged/2/0/0", folder) == 75, tiny.output
    assert not folder.done
    assert folder.checkpoint.exists()
    assert "stopped by SIGUSR2" in tiny.output
