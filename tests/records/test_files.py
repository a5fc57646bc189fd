import os
import random
import stat
import time
from itertools import count
from pathlib import Path

import pytest

from harness.api.errors import DiskError, RecordError
from harness.api.strict import Strict
from harness.records.checksums import agrees, open_record, seal_record, sha256, short_sha256
from harness.records.files import read_record, write_atomic, write_record, write_text
from tests.records.processes import forked, kill, no_file_above
from tests.support import require


class Note(Strict):
    schema_version: int = 2
    text: str


def content(number):
    return f"{number}\n" + chr(ord("a") + number % 26) * 300_000


def write_forever(path):
    for number in count():
        write_text(path, content(number))


@pytest.mark.slow
def test_a_file_is_whole_whenever_its_writer_is_killed(tmp_path):
    path = tmp_path / "record.txt"
    seen, kills = set[int](), 0
    while kills < 12 or len(seen) < 2:  # on a busy machine many are killed before they wrote anything twice
        kills += 1
        writer = forked(write_forever, path)
        while not path.exists():
            time.sleep(0.001)
        time.sleep(random.uniform(0.0, 0.03))
        kill(writer)
        text = path.read_text()
        number = int(text.partition("\n")[0])
        assert text == content(number)
        seen.add(number)


def test_a_writer_that_raises_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "record.txt"
    write_text(path, "old")

    def fail(temporary):
        temporary.write_text("half of the n")
        raise KeyError("in the middle")

    with pytest.raises(KeyError):
        write_atomic(path, fail)
    assert [item.name for item in tmp_path.iterdir()] == ["record.txt"]
    assert path.read_text() == "old"


@pytest.mark.parametrize(("umask", "mode"), [(0o077, 0o600), (0o002, 0o664)])
def test_the_umask_decides_who_may_read(umask, mode, tmp_path):
    before = os.umask(umask)
    try:
        write_record(tmp_path / "new" / "note.json", Note(text="x"))
        assert os.umask(umask) == umask  # reading the mask must not change it
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "new" / "note.json").stat().st_mode) == mode


def test_a_full_disk_is_one_clear_message_and_changes_nothing(tmp_path):
    path = tmp_path / "record.txt"
    write_text(path, "old")
    require("full-device", Path("/dev/full").exists(), "no /dev/full on this system")

    def write(_):
        Path("/dev/full").write_text("x" * 100_000)

    with pytest.raises(DiskError, match=r"cannot write .*record\.txt: No space left.*run the same command again"):
        write_atomic(path, write)
    with no_file_above(1000), pytest.raises(DiskError, match=r"cannot write .*record\.txt: File too large"):
        write_text(path, "x" * 2000)
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["record.txt"]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b'{"text": "half', "not a whole Note record"),
        (seal_record("{}").encode(), "text: Field required"),
        (seal_record('{"text": "x", "colour": 1}').encode(), "colour: Extra inputs are not permitted"),
        (seal_record('{"schema_version": 3, "text": "x"}').encode(), "newer version"),
        (b'{"schema_version": 1, "text": "x"}', "written by harness 0.1.0, which reads it"),
        (b'{"schema_version": 99, "future": {}}', "Update the harness"),
    ],
)
def test_damage_and_foreign_and_newer_records_are_refused_by_name(raw, message, tmp_path):
    path = tmp_path / "note.json"
    path.write_bytes(raw)
    with pytest.raises(RecordError, match=r"note\.json") as caught:
        read_record(path, Note)
    assert message in str(caught.value)
    assert path.read_bytes() == raw


def test_a_checksum_has_sixteen_digits_or_more():
    content = b"what is on record"
    for digits in (16, 40, 64):
        assert agrees(content, sha256(content)[:digits])
        assert not agrees(content + b".", sha256(content)[:digits])
    assert not agrees(content, sha256(content)[:15])
    assert not agrees(content, ""), "a file that result.json does not name"
    sealed = seal_record("{}").encode()
    assert open_record(sealed) == b"{}\n"
    assert open_record(sealed.replace(short_sha256(b"}\n").encode(), short_sha256(b"}\n")[:8].encode())) is None
