import io
import zipfile

import numpy as np
import pytest

from harness.api.errors import RecordError
from harness.records.artifacts import MAX_BYTES, read_arrays, write_arrays
from harness.records.run_folder import RunFolder
from tests.support import peak_below

ARRAYS = {
    "features": np.linspace(0, 1, 12, dtype=np.float16).reshape(3, 4),
    "labels": np.array([2, 0, 1]),
    "nothing": np.zeros((0, 4), np.float32),
}


def read(path):
    return read_arrays(path.read_bytes(), path, MAX_BYTES)


def test_they_come_back_as_they_were_and_equal_ones_are_equal_bytes(tmp_path):
    for name in ("a", "b"):
        write_arrays(tmp_path / name / "arrays.npz", ARRAYS)
    assert (tmp_path / "a" / "arrays.npz").read_bytes() == (tmp_path / "b" / "arrays.npz").read_bytes()
    found = read(tmp_path / "a" / "arrays.npz")
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(found[name], array)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["arrays.npz"]


def test_scans_and_weights_are_too_large(tmp_path):
    with pytest.raises(ValueError, match="more than a record holds"):
        RunFolder(tmp_path).write_arrays({"scan": np.zeros((10, 256, 256), np.float32)})
    assert not list(tmp_path.iterdir())
    np.savez(tmp_path / "large.npz", schema_version=2, scan=np.zeros(2 * MAX_BYTES, np.uint8))
    with pytest.raises(RecordError, match=r"large\.npz: .* more than a record of arrays holds"):
        read(tmp_path / "large.npz")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"schema_version": np.int64(99)}, "schema_version 99 was written by a newer version"),
        ({"labels": np.arange(3)}, "may be damaged"),
        ({"schema_version": np.int64(2), "code": np.array([{}], dtype=object)}, "may be damaged"),
    ],
    ids=["newer", "no version", "pickled objects"],
)
def test_other_files_are_refused_by_name(content, message, tmp_path):
    np.savez(tmp_path / "arrays.npz", **content)
    with pytest.raises(RecordError, match=rf"arrays\.npz: .*{message}"):
        read(tmp_path / "arrays.npz")


HEADERS = {
    "more than there is": ("<f4", (10**12,)),
    "more than an integer": ("<f8", (10**30,)),
    "a side below 0": ("<u1", (-1,)),
    "large elements": ("<V1000000000", (1,)),
    "objects": ("|O", (1,)),
}


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_promises_other_bytes_makes_no_room_for_them(name, tmp_path):
    descr, shape = HEADERS[name]
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    path = tmp_path / "arrays.npz"
    write_arrays(path, ARRAYS)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("odd.npy", header.getvalue() + bytes(12))
    with peak_below(10_000_000), pytest.raises(RecordError, match=r"arrays\.npz: .*may be damaged"):
        read(path)
