import os

import pytest

from harness.api.errors import RecordError
from harness.records.checksums import seal_record
from harness.records.files import read_record
from harness.records.schema import Environment, Result
from harness.records.suite_folder import Selection
from tests.cli.test_verify import READERS, flaws_of, read_file, suite, whole
from tests.support import call_cli

__all__ = ["suite", "whole"]

PLACES = {
    "a folder with files": lambda path: (path / "kept").mkdir(parents=True),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a pipe": os.mkfifo,
    "nothing in it": lambda path: path.touch(),
    "an endless file": lambda path: path.symlink_to("/dev/zero"),
    "memory that cannot be read": lambda path: path.symlink_to("/proc/self/mem"),
}


@pytest.mark.parametrize(
    ("kind", "place"),
    [*(("runs/*/result.json", place) for place in PLACES), *((kind, "a folder with files") for kind in READERS)],
)
def test_something_else_in_the_place_of_a_record(kind, place, suite):
    path = read_file(suite, kind)
    path.unlink()
    PLACES[place](path)
    flaws = flaws_of(suite)
    assert any(path.name in flaw for flaw in flaws), flaws


JSON = {
    "deep lists": "[" * 200_000,
    "a huge text": '{"schema_version": "' + "x" * 5_000_000 + '"}',
    "not a number": '{"schema_version": NaN}',
    "fields twice": '{"schema_version": 2, "schema_version": 3}',
    "half a character": '{"a": "\\ud800"}',
}


@pytest.mark.parametrize("sealed", [True, False])
@pytest.mark.parametrize("name", JSON)
def test_deep_or_huge_json_is_one_error(name, sealed, tmp_path):
    path = tmp_path / "record.json"
    path.write_text(seal_record(JSON[name]) if sealed else JSON[name])
    for kind in (Selection, Result, Environment):
        with pytest.raises(RecordError, match=r"record\.json") as error:
            read_record(path, kind)
        assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [b"\xff\xfe\xfa", None], ids=["binary", "a folder"])
def test_a_table_that_is_none(content, suite):
    (suite / "leaderboard").mkdir()
    table = suite / "leaderboard" / "leaderboard.csv"
    table.mkdir() if content is None else table.write_bytes(content)
    done = call_cli("audit", suite, code=65)
    assert "leaderboard.csv" in done.stderr


def test_a_file_larger_than_any_record(tmp_path):
    with (tmp_path / "record.json").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(RecordError, match="more than a record holds"):
        read_record(tmp_path / "record.json", Selection)
