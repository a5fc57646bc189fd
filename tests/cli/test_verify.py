import shutil
from pathlib import Path

import numpy as np
import pytest

from harness.records.archive import export_records
from harness.records.reader import SuiteRecords
from harness.records.verification import find_flaws
from tests.cli.ground import refuse
from tests.support import call_cli, flip_bit
from tests.synthetic import RunSpec, write_checksums, write_records

SPEC = RunSpec(
    methods={"supervised": 0.0, "action_pp": 0.2}, labelled=(3,), seeds=2, patients=4, centers={"action_pp"},
    search={"action_pp": ({"consistency": 0.1}, {"consistency": 0.2})}, failed={("supervised", 3, 0, 1)},
)  # fmt: skip
READERS = {
    "selection.json": "status",
    "suites/*.yaml": "leaderboard",
    "environments/*.json": "audit",
    "runs/*/run.json": "leaderboard",
    "runs/*/result.json": "status",
    "runs/*/ledger.jsonl": "audit",
    "runs/*/cases.parquet": "leaderboard",
    "runs/*/history/*.parquet": "audit",
    "runs/*/final.json": "audit",
    "runs/*/arrays.npz": "export",
    "runs/*/predictions.npz": "export",
    "runs/*/figures/*.png": "export",  # a page without one says which it left out
}
"""Kind of file -> a verb that reads it, beside `verify`; all check it in one place."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return write_whole(tmp_path_factory.mktemp("whole") / "synthetic")


def write_whole(root):
    for folder in write_records(root, SPEC).folders():
        if (folder.path / "cases.parquet").exists():
            folder.write_predictions({"case": np.arange(24, dtype=np.uint8).reshape(2, 3, 4) % 4})
            write_checksums(folder)
    return root


@pytest.fixture
def suite(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "runs" / "synthetic"))


def test_there_is_nothing_else_to_damage(whole):
    known = {path for kind in READERS for path in whole.glob(kind)}
    assert {path for path in whole.rglob("*") if path.is_file()} == known
    assert all(list(whole.glob(kind)) for kind in READERS)


def test_what_is_whole_has_no_flaw(suite, tmp_path):
    for path in (suite, suite.parent):
        assert call_cli("verify", path).stderr.splitlines()[-1] == "all whole"
    export_records([SuiteRecords.open(suite)], tmp_path / "records.tar.gz")
    call_cli("verify", tmp_path / "records.tar.gz")
    flip_bit(tmp_path / "records.tar.gz", (tmp_path / "records.tar.gz").stat().st_size // 2)
    refuse("verify", tmp_path / "records.tar.gz", code=65, named=("records.tar.gz",), unchanged=tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_a_flipped_byte_anywhere_is_a_flaw(kind, suite):
    path = max(suite.glob(kind))
    content = path.read_bytes()
    for at in {3 * len(content) // 100 * step for step in range(1, 33, 4)} | {0, len(content) - 2, len(content) - 1}:
        if kind.endswith("json") and content[at : at + 1].isspace() and at < 3:
            continue  # white space before the checksum says nothing
        flip_bit(path, at)
        flaws = flaws_of(suite)
        assert any(path.name in flaw for flaw in flaws), f"byte {at} of {len(content)}: {flaws}"
        path.write_bytes(content)
    assert flaws_of(suite) == []


@pytest.mark.parametrize(("kind", "verb"), READERS.items())
def test_a_verb_that_reads_it_refuses_it_by_name(kind, verb, suite, tmp_path):
    path = read_file(suite, kind)
    flip_bit(path, len(path.read_bytes()) // 2)
    options = ("--to", tmp_path / "records.tar.gz") if verb == "export" else ()
    done = call_cli(verb, suite, *options, code=65)
    assert path.name in done.stderr
    assert not (tmp_path / "records.tar.gz").exists()


def read_file(suite, kind):
    """The first file of a kind that boards read: of a suite, or of a final run that ended well."""
    ended = {path.parent for path in suite.glob("runs/*/cases.parquet")}
    paths = sorted(suite.glob(kind))
    return next((path for path in paths if not ended.isdisjoint(path.parents)), paths[0])


def flaws_of(suite):
    return list(find_flaws(SuiteRecords.open(suite)))


@pytest.mark.parametrize("gone", ["cases.parquet", "ledger.jsonl", "final.json", "run.json"])
def test_a_file_that_is_gone_is_a_flaw(gone, suite):
    read_file(suite, f"runs/*/{gone}").unlink()
    assert any(gone in flaw for flaw in flaws_of(suite))
