import json

import pytest

from tests.bench import alone
from tests.bench.__main__ import steps
from tests.train.fixtures import one_thread

__all__ = ["one_thread"]


@pytest.mark.slow
def test_a_line_for_every_method_and_stage():
    lines = {line.split()[0]: line for line in steps((32, 32), 4, 1)}
    assert {f"{m}/{s}" for m in ("action", "action_pp") for s in ("global", "local", "anatomical")} <= lines.keys()
    assert "  1.00 x supervised" in lines["supervised/train"]


@pytest.mark.slow
def test_one_stage_alone_tells_its_seconds(capsys: pytest.CaptureFixture[str]):
    assert alone.main(["supervised/train", "--size", "16", "16", "16", "--batch", "2", "--warm-up", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] > 0
