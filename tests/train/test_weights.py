import os
import shutil
from pathlib import Path

import pytest
import torch

from harness.api.errors import RecordError, UsageError
from harness.records.reader import SuiteRecords
from harness.records.verification import find_run_flaws
from harness.train.checkpoint import weights_sha256
from harness.train.weights import load_predictor
from tests.synthetic import write_checksums
from tests.train.tiny import train

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
STAGED, DOOMED, ABSENT = "tiny_staged/2/0/0", "tiny_error/2/0/0", "tiny_floor/2/0/0"


@pytest.fixture(scope="module")
def trained(make_tiny):
    tiny = make_tiny({"tiny_staged": {}, "tiny_error": {}, "tiny_floor": {}}, budget={"steps": 8})
    train(tiny, STAGED)
    train(tiny, DOOMED)
    return tiny


@pytest.fixture
def record(trained, tmp_path):
    return SuiteRecords.open(Path(shutil.copytree(trained.store, tmp_path / "tiny"))).find(STAGED)


def test_the_tested_network_comes_back_to_the_bit(record):
    predictor = load_predictor(record, CPU)
    assert weights_sha256(predictor.network) == record.result.weights_sha256
    assert "weights.pt" in record.result.files
    assert not predictor.network.training
    assert predictor.layout == "generated"
    assert not [path for path in record.folder.path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("name", "reason"), [(DOOMED, "failed .*it has no weights"), (ABSENT, "is not finished: the command")]
)
def test_a_run_without_a_result_has_nothing_to_predict_with(trained, name, reason):
    suite = SuiteRecords.open(trained.store)
    with pytest.raises(UsageError, match=reason):
        load_predictor(suite.run(trained.session().find(name).id), CPU)


class Evil:
    def __reduce__(self):
        return os.system, ("exit 1",)


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def other_weights(path):
    content = torch.load(path, weights_only=True)
    next(iter(content["predictor"].values())).add_(1)
    torch.save(content, path)


@pytest.mark.parametrize(
    ("damage", "sealed", "reason"),
    [
        (flipped, False, "checksum is not the one in result.json"),
        (Path.unlink, False, "not there: deleted by `harness clean --weights`"),
        (lambda path: torch.save({"predictor": Evil()}, path), True, "not the weights of a run"),
        (other_weights, True, "holds other weights than those that result.json names"),
    ],
)
def test_what_is_no_longer_the_runs_is_refused(record, damage, sealed, reason):
    """sealed: somebody gave the changed file a checksum in result.json, too."""
    damage(record.folder.weights)
    if sealed:
        write_checksums(record.folder)
    fresh = SuiteRecords.open(record.folder.path.parents[1]).find(STAGED)
    with pytest.raises(RecordError, match=reason):
        load_predictor(fresh, CPU)
    assert bool(list(find_run_flaws(fresh))) is (damage is flipped)
