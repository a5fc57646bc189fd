import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api.errors import RecordError
from harness.records import index
from harness.records.files import write_text
from harness.records.reader import SuiteRecords
from harness.records.run_folder import RunFolder
from harness.records.suite_folder import SuiteFolder
from tests.support import flip_bit
from tests.synthetic import RunSpec, edit_record, write_records

SPEC = RunSpec(labelled=(3,), seeds=1, patients=3, validations=2, history_steps=2)
ALWAYS_OLD = -(10**15)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return write_records(tmp_path_factory.mktemp("written") / "s", SPEC).root


@pytest.fixture
def store(written, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "YOUNG_NS", ALWAYS_OLD)
    return SuiteFolder.open(Path(shutil.copytree(written, tmp_path / "s")))


def answer(store):
    """All that both indexes say, by run."""
    records = SuiteRecords(store)
    ended = {row["run"]: row for row in records.ended.table.to_pylist()}
    cases = records.cases_of(ended).table.to_pylist()
    rows = {row["run"]: ended[row["run"]] | row for row in cases}
    return {run: {name: value for name, value in row.items() if name != "stamp"} for run, row in sorted(rows.items())}


def answer_of_records(store):
    shutil.rmtree(store.root / "index", ignore_errors=True)
    return answer(store)


def first(store):
    return next(store.folders())


def in_place(path, change):
    before, copy = path.stat(), path.with_name("copy")
    shutil.copy(path, copy)
    change(copy)
    path.write_bytes(copy.read_bytes())
    copy.unlink()
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def with_steps(steps):
    return lambda path: edit_record(path, lambda raw: raw["spent"].update(useful_steps=steps))


def test_what_was_read_once_is_not_read_again(store, monkeypatch):
    expected = answer(store)
    monkeypatch.setattr(RunFolder, "require_result", None)
    monkeypatch.setattr(RunFolder, "content", None)
    assert answer(store) == expected


@pytest.mark.parametrize("name", ["result.json", "run.json", "cases.parquet"])
def test_a_damaged_record_is_named_although_an_index_knows_better(store, name):
    answer(store)
    path = first(store).path / name
    flip_bit(path, path.stat().st_size // 2)
    with pytest.raises(RecordError, match=f"{path.parent.name}/{name}"):
        answer(store)


def flipped(place):
    def change(content):
        at = int(place * (len(content) - 1))
        return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]

    return change


DAMAGES = {
    "empty": lambda content: b"",
    "cut": lambda content: content[: len(content) // 2],
    "longer": lambda content: content + b"x",
    "of another version": lambda content: content.replace(b"index 1", b"index 0", 1),
    "another program's": lambda content: b"SQLite format 3\0" * 100,
    **{f"flipped at {place}": flipped(place) for place in (0.0, 0.1, 0.9)},
}


@pytest.mark.parametrize("name", ["runs.arrow", "cases.arrow"])
def test_a_damaged_index_is_made_anew(store, name):
    expected, path = answer(store), store.root / "index" / name
    whole = path.read_bytes()
    for damage, change in DAMAGES.items():
        path.write_bytes(change(whole))
        assert answer(store) == expected, damage
        assert path.read_bytes() == whole, damage


def test_where_no_index_can_be_written_the_answer_is_the_same(store):
    expected = answer_of_records(store)
    shutil.rmtree(store.root / "index")
    write_text(store.root / "index", "in its place")
    assert answer(store) == expected


def test_files_that_could_still_change_unseen_are_not_kept(tmp_path):
    store = write_records(tmp_path / "s", SPEC)
    answer(store)
    assert index.YOUNG_NS > 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunFolder, "require_result", lambda folder: (_ for _ in ()).throw(RecordError("read")))
        with pytest.raises(RecordError, match=r"^read$"):
            answer(store)


@pytest.mark.slow
def test_a_process_killed_while_it_writes_leaves_what_was_there(store):
    expected = answer(store)
    whole = (store.root / "index" / "runs.arrow").read_bytes()
    in_place(first(store).path / "result.json", with_steps(1234))
    child = os.fork()
    if not child:
        os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)  # the new file is written, and not yet renamed
        SuiteRecords(store).ended  # noqa: B018
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    assert (store.root / "index" / "runs.arrow").read_bytes() == whole
    expected[first(store).id]["useful_steps"] = 1234
    assert answer(store) == expected


EDITS = (
    lambda store, number: edit_record(
        list(store.folders())[number % 2].path / "result.json", lambda raw: raw.update(images_seen=number)
    ),
    lambda store, number: in_place(first(store).path / "result.json", with_steps(1000 + number)),
    lambda store, number: (store.root / "index" / "runs.arrow").write_bytes(b"x" * number),
    lambda store, number: (store.root / "index" / "cases.arrow").unlink(missing_ok=True),
    lambda store, number: (list(store.folders())[-1].path / "result.json").unlink(missing_ok=True),
)


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(edits=st.lists(st.tuples(st.sampled_from(EDITS), st.integers(0, 900)), max_size=4))
def test_after_any_edits_the_answer_is_that_of_the_records(edits, written, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(index, "YOUNG_NS", ALWAYS_OLD)
        store = SuiteFolder.open(Path(shutil.copytree(written, tmp_path_factory.mktemp("runs") / "s")))
        answer(store)
        for edit, number in edits:
            edit(store, number)
            np.testing.assert_equal(answer(store), answer_of_records(store))
