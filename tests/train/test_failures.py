import resource
import signal
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from harness.api.errors import DiskError, InterruptedRunError, MachineError, UsageError
from harness.execution.inline import run_inline
from harness.train.environment import pick_device
from harness.train.run import RunSettings, train_run
from tests.train.tiny import train

FAULTS = [
    ("tiny_nan", "nan", "step 2 "),
    ("tiny_error", "error", "ValueError: wrong shape in Faulty.training_loss (tiny_plugin.py:"),
    ("tiny_exit", "error", "SystemExit: no more in Faulty.training_loss (tiny_plugin.py:"),
    ("tiny_torch_oom", "oom", "allocate"),
    ("tiny_peek", "data", "ClosedSplitError"),
]


@pytest.fixture(scope="module")
def faulty(make_tiny):
    tiny = make_tiny({**{name: {} for name, *_ in FAULTS}, "tiny_staged": {}}, budget={"steps": 8})
    session = tiny.session()
    outcomes = list(run_inline(session, session.pending(), RunSettings(checkpoint_seconds=1000.0)))
    assert [outcome.status for outcome in outcomes] == ["failed"] * len(FAULTS) + ["ok"]
    return tiny


def result_of(tiny, method):
    return tiny.folder(f"{method}/2/0/0").require_result()


@pytest.mark.parametrize(("method", "kind", "reason"), FAULTS)
def test_each_fault_has_its_kind(method, kind, reason, faulty):
    result = result_of(faulty, method)
    assert result.status == "failed"
    assert result.failure.kind == kind
    assert reason in result.failure.reason


@pytest.mark.parametrize("method", ["tiny_nan", "tiny_error", "tiny_peek"])
def test_a_failure_leaves_no_numbers_and_says_what_it_spent(method, faulty):
    folder, result = faulty.folder(f"{method}/2/0/0"), result_of(faulty, method)
    assert not (folder.path / "cases.parquet").exists()
    assert (result.weights_sha256, result.validations) == (None, [])
    assert result.spent.useful_steps >= 2
    assert result.spent.useful_device_seconds > 0
    assert result.environment == folder.ledger.lines()[0].environment
    last = folder.ledger.lines()[-1]
    assert (last.kind, last.note) == ("end", f"failed: {result.failure.kind if result.failure else None}")
    assert "Traceback" in (folder.path / "error.txt").read_text(encoding="utf-8")
    assert not folder.lease.held()


def test_a_broken_gpu_is_no_failure_of_a_method(make_tiny, monkeypatch):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 4})
    error = RuntimeError("CUDA error: uncorrectable ECC error encountered\nCompile with ...")
    for place in ("harness.train.trainer.Trainer.train", "harness.train.run.prepare_device"):
        with monkeypatch.context() as patch:
            patch.setattr(place, Mock(side_effect=error))
            with pytest.raises(MachineError, match=r"uncorrectable ECC error encountered; "):
                train(tiny, "tiny_staged/2/0/0")
        assert not tiny.folder("tiny_staged/2/0/0").done
    monkeypatch.setattr("torch.version.cuda", "12.6")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert pick_device().type == "cpu"
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "1")
    with pytest.raises(MachineError, match="torch finds none that works"):
        pick_device()


def test_a_nan_in_the_last_step_is_found(make_tiny):
    """The loss is read at checkpoints alone; the last one comes before the test."""
    tiny = make_tiny({"tiny_nan": {}}, budget={"steps": 3})
    result = train(tiny, "tiny_nan/2/0/0")
    assert result.failure is not None
    assert result.failure.kind == "nan"


def test_other_data_than_planned_is_the_users_error(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 8})
    session = tiny.session()
    (run,) = session.plan.runs
    other = run.model_copy(update={"dataset": run.dataset.model_copy(update={"checksum": "0" * 64})})
    folder = session.store.by_id(other.id)
    folder.create(other)
    with pytest.raises(UsageError, match="other data"):
        train_run(folder, session.cache, session.store.selection_path, RunSettings())
    assert not folder.done
    assert not folder.lease.held()


def test_without_a_selection_the_test_split_stays_closed(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 8})
    session = tiny.session()
    folder = session.folder(session.plan.runs[0])
    kept = session.store.selection()
    session.store.selection_path.unlink()
    with pytest.raises(InterruptedRunError, match=r"selection\.json is not there now"):
        train_run(folder, session.cache, session.store.selection_path, RunSettings())
    assert not (folder.path / "cases.parquet").exists()
    session.store.write_selection(kept)
    assert train_run(folder, session.cache, session.store.selection_path, RunSettings()).status == "ok"
    assert [line.kind for line in folder.ledger.lines()].count("violation") == 0


@contextmanager
def files_at_most(size_bytes):
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_no_failure_of_the_method(make_tiny):
    tiny = make_tiny({"tiny_staged": {}}, budget={"steps": 40})
    folder = tiny.folder("tiny_staged/2/0/0")
    with files_at_most(9_000), pytest.raises(DiskError, match="cannot write"):
        train(tiny, "tiny_staged/2/0/0")
    assert not folder.done
    assert train(tiny, "tiny_staged/2/0/0").status == "ok"
    assert Path(folder.path / "cases.parquet").exists()
