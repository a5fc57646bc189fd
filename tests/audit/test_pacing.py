import re
import shutil
from pathlib import Path

import pytest

from harness.audit import audit
from harness.records.calibration import Calibration, EntryCost
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.train import calibrate as calibrating
from tests.audit.test_planted import train

pytestmark = pytest.mark.slow

HONEST, CHEATS = {"supervised_full"}, {"cheat_lazy", "cheat_grows"}


def in_this_process(unit, runs, cache, _stop):
    return calibrating.measure(unit, runs, cache.folder, calibrating.PAIRS // calibrating.PROCESSES)


@pytest.fixture(scope="module")
def paced(make_tiny):
    """Calibrated and trained for real: three seeds, so that each cell has more than 30 supervised steps beside it."""
    names = sorted(HONEST | CHEATS)
    small = {"budget": {"reference_steps": 24}, "engine": {"batch_size": 2}}
    tiny = make_tiny({name: {} for name in names}, seeds=[0, 1, 2], **small)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calibrating, "_in_fresh_process", in_this_process)
        patch.setattr(calibrating, "PROCESSES", 1)
        for name in ("PAIRS", "MOST_PAIRS"):
            patch.setattr(calibrating, name, 10)
        tiny.session()
    train(tiny)
    return tiny


def rule_35(store):
    (finding,) = [finding for finding in audit(SuiteRecords.open(store)).findings if finding.number == 35]
    return finding


def entries_of(store, runs):
    return {entry.planned_run.entry for entry in SuiteFolder.open(store).selection().entries if entry.run in runs}


def test_who_works_less_while_calibrated_or_more_with_progress_is_caught(paced):
    finding = rule_35(paced.store)
    assert finding.status == "not held"
    assert entries_of(paced.store, finding.runs) >= CHEATS
    lines = (re.match(r"(\w+)@\w+, stage \w+: ([+-][\d.]+)% in 36 supervised steps", text) for text in finding.evidence)
    deviations = {line[1]: float(line[2]) for line in lines if line}
    assert deviations.keys() == HONEST | CHEATS
    assert min(deviations[name] for name in CHEATS) > 20.0, deviations
    assert max(abs(deviations[name]) for name in HONEST) < 25.0, deviations


@pytest.fixture
def copied(paced, tmp_path):
    return SuiteFolder.open(Path(shutil.copytree(paced.store, tmp_path / "tiny")))


def dearer(cost):
    stages = [
        stage.model_copy(update={"pairs": tuple((reference, 5 * own) for reference, own in stage.pairs)})
        for stage in cost.stages
    ]
    return EntryCost.of(cost.key, stages)


def test_an_edited_cost_that_is_sealed_anew_is_not_the_one_that_gave_the_steps(copied):
    (known,) = copied.calibrations()
    entries = tuple(dearer(cost) if cost.key.method == "cheat_lazy" else cost for cost in known.entries)
    copied.write_calibration(Calibration(header=known.header, entries=entries))
    finding = rule_35(copied.root)
    assert finding.status == "not held"
    assert entries_of(copied.root, finding.runs) == {"cheat_lazy"}
    assert "calibrations/ lacks the costs that run.json names: removed, or edited by hand" in finding.evidence[0]
