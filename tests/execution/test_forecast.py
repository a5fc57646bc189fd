from pathlib import Path

import pytest

from harness.cli.plan import disk_line, resolution_lines
from harness.execution.dry_run import DryRun, make_dry_run
from harness.execution.forecast import RECORD_BYTES, Forecast, estimate
from harness.suite.load import load_suite
from tests.train.fixtures import MakeTiny
from tests.train.tiny import Tiny, train


def forecast(tiny: Tiny) -> tuple[DryRun, Forecast]:
    dry_run = make_dry_run(load_suite(str(tiny.suite)), None, tiny.runs)
    return dry_run, Forecast(dry_run.plan, dry_run.store)


def test_disk_is_estimated_then_measured(make_tiny: MakeTiny):
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


def test_device_seconds_are_the_budget(make_tiny: MakeTiny):
    dry_run, times = forecast(make_tiny({"supervised": {}}, budget={"device_seconds": 7}))
    assert [times.seconds(training) for training in dry_run.plan.trainings()] == [7.0]


def test_what_a_table_resolves(make_tiny: MakeTiny, tmp_path: Path):
    three, needed, seven, _ = resolution_lines(make_dry_run(load_suite("acdc_paper"), None, tmp_path))
    assert three.startswith("resolves at 3 labelled: ")
    assert (
        "(5 methods, 3 runs each, 20 test patients; over these, differences spread by 10.2 points as in bench" in three
    )
    assert needed.startswith("2 Dice points would take about ")
    assert needed.endswith(" test patients instead of 20")
    assert seven.startswith("resolves at 7 labelled: ")
    (line,) = resolution_lines(forecast(make_tiny({"supervised": {}, "ua_mt": {}}))[0])
    assert line == "resolves nothing at 2 labelled: too few test patients (2) for 2 methods"
    assert list(resolution_lines(forecast(make_tiny({"supervised": {}}))[0])) == [], "nothing to compare"
