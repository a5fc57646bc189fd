import pytest

from tests.bench.__main__ import steps
from tests.train.fixtures import one_thread

__all__ = ["one_thread"]


@pytest.mark.slow
def test_a_line_for_every_method_and_stage():
    lines = {line.split()[0]: line for line in steps((32, 32), 4, 1)}
    assert {f"{m}/{s}" for m in ("action", "action_pp") for s in ("global", "local", "anatomical")} <= lines.keys()
    assert "  1.00 x supervised" in lines["supervised/train"]
