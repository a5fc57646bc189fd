import shutil

import pytest

from harness import pipeline
from harness.api.errors import RecordError
from harness.execution import session as sessions
from harness.execution.run import ExecuteSettings, execute
from harness.execution.session import reuse
from harness.records.files import write_bytes
from harness.train.stop import StopFlag
from tests.search.tiny_search import make_search
from tests.support import environment_of

BUDGET = {"steps": 4}


@pytest.fixture(scope="module")
def source(make_tiny):
    tiny = make_tiny({"tiny_short": {}, "tiny_error": {}}, budget=BUDGET)
    execute(tiny.session(), ExecuteSettings("inline"), StopFlag())
    return tiny


@pytest.fixture
def target(make_tiny):
    return make_tiny({"tiny_error": {}, "tiny_short": {}, "tiny_ceiling": {}}, budget=BUDGET, name="other")


def test_what_both_suites_name_is_not_trained_again(source, target):
    session = target.session()
    taken = reuse(session, source.store)
    assert [run.method for run in taken] == ["tiny_short"], "a failure is tried again"
    mine, theirs = session.folder(taken[0]), source.folder("tiny_short/2/0/0")
    for name in ("result.json", "ledger.jsonl", "cases.parquet", "history.parquet", "predictions.npz", "final.json"):
        assert (mine.path / name).read_bytes() == (theirs.path / name).read_bytes()
    assert environment_of(mine) == environment_of(theirs)
    assert not mine.checkpoint.exists()
    assert not (mine.path / "lease").exists()
    assert reuse(session, source.store) == [], "once"
    assert [run.method for run in session.pending()] == ["tiny_ceiling", "tiny_error"]


def test_what_was_begun_here_or_is_held_is_left_alone(source, target):
    session = target.session()
    folder = session.folder(session.find("tiny_short/2/0/0"))
    lease = folder.lease
    lease.claim()
    assert reuse(session, source.store) == []
    lease.release()
    folder.ledger.append(source.folder("tiny_short/2/0/0").ledger.lines()[0])
    begun = folder.ledger.path.read_text()
    assert reuse(session, source.store) == []
    assert (folder.path / "ledger.jsonl").read_text() == begun
    (folder.path / "ledger.jsonl").unlink()
    assert [run.method for run in reuse(session, source.store)] == ["tiny_short"]


def test_a_copy_that_was_stopped_is_made_again(source, target, monkeypatch):
    session = target.session()
    written = []

    def stop_at_third(path, content):
        written.append(path.name)
        if len(written) == 3:
            raise KeyboardInterrupt
        write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(sessions, "write_bytes", stop_at_third)
        with pytest.raises(KeyboardInterrupt):
            reuse(session, source.store)
    assert [run.method for run in reuse(session, source.store)] == ["tiny_short"]


def test_a_damaged_run_is_refused_and_not_copied(source, target, tmp_path):
    shutil.copytree(source.store, tmp_path / "damaged")
    session = target.session()
    run = session.find("tiny_short/2/0/0")
    (tmp_path / "damaged" / "runs" / run.id / "cases.parquet").write_bytes(b"PAR1")
    with pytest.raises(RecordError, match=r"cases\.parquet: its checksum is not the one in result\.json"):
        reuse(session, tmp_path / "damaged")
    assert not session.folder(run).done


def test_finals_that_a_search_has_just_named_are_taken_over(make_tiny, monkeypatch):
    monkeypatch.setattr(pipeline, "write_views", lambda *_: True)
    old = make_search(make_tiny, {"tiny_short": {}})
    new = make_search(make_tiny, {"tiny_short": {}, "tiny_ceiling": {}}, name="other")
    for tiny, reused in ((old, None), (new, old.store)):
        pipeline.run_suite(tiny.suite, runs=tiny.runs, executor="inline", reuse=reused, track=False)
    mine, theirs = (tiny.folder("tiny_short/2/0/0").ledger.path.read_bytes() for tiny in (new, old))
    assert mine == theirs
