import pytest

from harness.cli.plan import disk_line
from harness.execution.dry_run import make_dry_run
from harness.execution.forecast import RECORD_BYTES, Forecast, estimate
from harness.suite.load import load_suite
from tests.train.tiny import train


def forecast(tiny):
    dry_run = make_dry_run(load_suite(str(tiny.suite)), None, tiny.runs)
    return dry_run, Forecast(dry_run.plan, dry_run.store)


def test_disk_is_estimated_then_measured(make_tiny):
    tiny = make_tiny({"supervised": {}, "ua_mt": {}})
    tiny.session()
    dry_run, before = forecast(tiny)
    assert (before.measured, before.disk(dry_run.plan.trainings()[0])) == (0, estimate(dry_run.plan, "supervised"))
    assert before.seconds(dry_run.plan.trainings()[0]) is None, "steps of which none was taken"
    assert "(estimated from the networks)" in disk_line(dry_run, before)
    result = train(tiny, "supervised/2/0/0")
    dry_run, after = forecast(tiny)
    supervised, ua_mt = dry_run.plan.trainings()
    measured, guess = after.disk(supervised), before.disk(supervised)
    folder = tiny.folder("supervised/2/0/0")
    assert (after.measured, measured.checkpoint) == (1, folder.checkpoint.stat().st_size)
    assert measured.total == sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    assert guess.checkpoint == pytest.approx(measured.checkpoint, rel=0.05)
    assert guess.rest - RECORD_BYTES == pytest.approx(folder.weights.stat().st_size, rel=0.05)
    assert after.disk(ua_mt) == before.disk(ua_mt), "none of it has ended"
    assert after.seconds(supervised) == pytest.approx(result.spent.useful_device_seconds)
    assert after.seconds(ua_mt) is None
    assert f"`harness clean {tiny.store} --yes`" in disk_line(dry_run, after)
