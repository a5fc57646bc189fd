import signal

import pytest

from tests.search.tiny_search import folder_of, make_search
from tests.support import LIMIT_SECONDS, wait_until

pytestmark = pytest.mark.slow


def test_sigusr2_retires_a_trial(make_tiny):
    slow, name = {"pause_seconds": 0.05}, "tiny_staged/trial/0/1"
    tiny = make_search(make_tiny, {"tiny_staged": slow}, {"budget": {"steps": 400}, "validations": 40})
    tiny.session()
    folder = folder_of(tiny, name)
    process = tiny.start("train", name)
    wait_until(folder.validations, "it has a validation", process=process)
    process.send_signal(signal.SIGUSR2)
    assert process.wait(LIMIT_SECONDS) == 0, tiny.output
    result = folder.require_result()
    assert result.status == "ended_early"
    assert 10 <= result.spent.useful_steps < 400
    assert (result.spent.lost_steps, len(result.validations)) == (0, result.spent.useful_steps // 10)
    assert not folder.lease.held()
    assert "cases.parquet" not in {path.name for path in folder.path.iterdir()}
    assert "Traceback" not in tiny.output
