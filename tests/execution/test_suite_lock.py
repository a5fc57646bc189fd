from contextlib import contextmanager

import pytest

from harness.api.errors import InterruptedRunError, UsageError
from harness.execution.run import lock_suite
from harness.pipeline import write_views
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.search.run import LEADS
from harness.train.stop import StopFlag
from tests.support import wait_until
from tests.synthetic import RunSpec, write_records


def test_one_at_a_time(tmp_path):
    store, stop = SuiteFolder.create(tmp_path / "s"), StopFlag()
    with lock_suite(store.search_lease, LEADS, stop, 0.0):
        second = lock_suite(store.search_lease, LEADS, stop, 0.0)
        with pytest.raises(UsageError, match=r"pid \d+ on .* leads this adaptive search"), second:
            pass
        assert (store.root / "search.lease").exists(), "the first one keeps it"
    with lock_suite(store.search_lease, LEADS, stop, 0.0):
        pass
    assert not (store.root / "search.lease").exists()


def test_one_process_at_a_time_writes_the_leaderboard(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.records.suite_folder.WRITER_SECONDS", 0.0)
    store = write_records(tmp_path / "synthetic", RunSpec(labelled=(3,), seeds=1, patients=6, history_steps=5))
    with (
        store.leaderboard_lease.held_for(),
        pytest.raises(InterruptedRunError, match=r"leaderboard: pid \d+ on .* is writing it"),
    ):
        write_views(SuiteRecords(store))
    assert not store.leaderboard.exists()


def test_who_waited_for_another_writer_writes_what_is_on_record_then(tmp_path, monkeypatch):
    store = write_records(tmp_path / "synthetic", RunSpec(labelled=(3,), seeds=1, patients=6, history_steps=5))
    result = next(store.root.glob("runs/*/result.json"))
    hidden = result.rename(result.with_name("later.json"))

    @contextmanager
    def wait(_store):
        hidden.rename(result)
        yield

    monkeypatch.setattr(SuiteFolder, "writing_leaderboard", wait)
    (comparison,) = write_views(SuiteRecords(store)).inputs.comparisons
    assert set(comparison.runs["status"]) == {"ok"}


def test_who_lost_the_search_to_another_host_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.train.stop.BEAT_SECONDS", 0.02)
    store, stop = SuiteFolder.create(tmp_path / "s"), StopFlag()
    with lock_suite(store.search_lease, LEADS, stop, 0.0):
        path = store.root / "search.lease"
        path.write_text(path.read_text().replace('"host":"', '"host":"another-'))
        wait_until(stop.is_set, "it stops")
    assert "took over and leads this adaptive search" in str(stop.reason)
    assert path.exists(), "the lease is the other's"
