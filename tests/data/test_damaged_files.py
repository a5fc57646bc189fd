import bz2
import gzip
import struct
import zlib
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.layouts.h5_file import read_h5
from harness.api import DataError
from harness.api.scans.nifti_file import read_nifti
from harness.api.scans.nrrd_file import read_nrrd
from harness.api.scans.values import whole_labels
from tests.data.headers import nrrd

VOXELS = np.random.default_rng(0).integers(0, 900, (7, 6, 5)).astype(np.int16)


ZEROS = zlib.compress(bytes(2**20), 9) * 64
"""Stands for a compressed chunk, which is never decompressed."""


def content(array=VOXELS):
    return bytearray(nibabel.Nifti1Image(array, np.eye(4)).to_bytes())


def packed(place=0, form="", *values, array=VOXELS):
    raw = content(array)
    if form:
        struct.pack_into(form, raw, place, *values)
    return gzip.compress(bytes(raw))


def other_voxels():
    raw, changed = content(), content()
    changed[400:404] = b"\x09\x01\x07\x01"
    body = gzip.compress(bytes(changed))
    return body[:-8] + struct.pack("<II", zlib.crc32(raw), len(raw))


NIFTI = {
    "truncated: as large as a continent": packed(42, "<3h", 30000, 30000, 30000),
    "check sum of other voxels": other_voxels(),
    "rubbish behind": packed() + b"rubbish",
    "four axes": packed(array=np.zeros((3, 3, 3, 2), np.int16)),
}


def refuse(read, path, truncated):
    with pytest.raises(DataError) as refused:
        read(path)
    line = str(refused.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    assert ("truncated" in line.removeprefix(str(path))) == truncated, line
    return line


def text(**fields):
    return lambda path: nrrd(path, **fields)


def encoded(encoding):
    data = VOXELS.tobytes(order="F")
    packers: dict[str, Any] = {"raw": bytes, "gzip": gzip.compress, "bzip2": bz2.compress, "ascii": as_text}
    fields = f"type: short\ndimension: 3\nsizes: 7 6 5\nendian: little\nencoding: {encoding}\n"
    return f"NRRD0004\n{fields}\n".encode() + packers[encoding](data)


def as_text(data):
    return " ".join(map(str, np.frombuffer(data, np.int16))).encode()


NRRD = {
    "truncated: sizes of a continent": text(sizes="30000 30000 30000"),
    "gzip, check sum of others": lambda path: path.write_bytes(encoded("gzip")[:-8] + b"12345678"),
    "no order of bytes": text(endian=None),
    "voxels in a file that is away": text(data_file="away.raw"),
    "a page of the web": lambda path: path.write_text("<html>quota exceeded</html>"),
}


@pytest.mark.parametrize(
    ("encoding", "detached"), [("gzip", True), ("gzip", False), ("bzip2", False), ("ascii", False)]
)
def test_encodings_give_the_same_voxels(encoding, detached, tmp_path):
    path = tmp_path / "one.nrrd"
    header, _, data = encoded(encoding).partition(b"\n\n")
    if detached:
        (tmp_path / "one.raw").write_bytes(data)
        header, data = header + b"\ndata file: one.raw", b""
    path.write_bytes(header + b"\n\n" + data)
    np.testing.assert_array_equal(read_nrrd(path)[0], VOXELS)


def arrays(**nodes):
    """An HDF5 file of an image and a label with other nodes in their place; None leaves one out."""

    def write(path):
        with h5py.File(path, "w") as file:
            for name, node in {"image": VOXELS.astype(np.float32), "label": VOXELS % 4, **nodes}.items():
                if callable(node):
                    node(file, name)
                elif node is not None:
                    file[name] = node

    return write


def bomb(file, name):
    """Eight gigabytes of zeros in a few megabytes: nothing is truncated, and still it is no scan."""
    made = file.create_dataset(name, (2**31,), "f4", chunks=(2**28,), compression="gzip", compression_opts=9)
    for part in range(4):
        made.id.write_direct_chunk((part * 2**28,), ZEROS)


def virtual(file, name):
    layout = h5py.VirtualLayout((7, 6, 5), "f4")
    layout[:] = h5py.VirtualSource("away.h5", "image", (7, 6, 5))
    file.create_virtual_dataset(name, layout)


def cut_h5(count):
    def write(path):
        arrays()(path)
        path.write_bytes(path.read_bytes()[:count])

    return write


H5 = {
    "truncated: half of it": cut_h5(1500),
    "no label": arrays(label=None),
    "complex image": arrays(image=VOXELS.astype(np.complex64)),
    "a bomb": arrays(image=bomb),
    "voxels of another file": arrays(image=virtual),
}


FILES: dict[str, Any] = {"one.nii.gz": (read_nifti, NIFTI), "one.nrrd": (read_nrrd, NRRD), "one.h5": (read_h5, H5)}


@pytest.mark.parametrize(("file", "name"), [(file, name) for file in FILES for name in FILES[file][1]])
def test_a_damaged_file_is_one_line(file, name, tmp_path):
    (read, damages), path = FILES[file], tmp_path / file
    if isinstance(damages[name], bytes):
        path.write_bytes(damages[name])
    else:
        damages[name](path)
    refuse(read, path, truncated=name.startswith("truncated"))


def h5_bytes(tmp_path):
    path = tmp_path / "whole.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("image", data=VOXELS.astype(np.float32), compression="gzip")
        file.create_dataset("label", data=(VOXELS % 4).astype(np.uint8), compression="gzip")
    return path.read_bytes()


def outcome(read, path):
    try:
        return read(path)
    except DataError as error:
        return str(error)


PACKED = [
    ("one.nii.gz", packed(), 0, read_nifti),
    ("one.nrrd", encoded("gzip"), encoded("gzip").index(b"\n\n") + 2, read_nrrd),
    ("two.nrrd", encoded("bzip2"), encoded("bzip2").index(b"\n\n") + 2, read_nrrd),
]


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7), keep=st.booleans())
def test_damage_changes_no_packed_voxel_and_raises_nothing_else(position, bit, keep, tmp_path_factory):
    folder = tmp_path_factory.mktemp("flip")
    plain = [
        ("one.nii", bytes(content()), 0, read_nifti),
        ("three.nrrd", encoded("raw"), 0, read_nrrd),
        ("one.h5", h5_bytes(folder), 0, read_h5),
    ]
    for is_packed, (name, whole, start, read) in (
        *((True, case) for case in PACKED),
        *((False, case) for case in plain),
    ):
        place = start + position % (len(whole) - start)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bit
        (folder / name).write_bytes(damaged if keep or is_packed else damaged[:place])
        answer = outcome(read, folder / name)
        if isinstance(answer, str):
            assert answer.startswith(str(folder / name))
        elif is_packed:
            np.testing.assert_array_equal(answer[0], VOXELS)


@pytest.mark.parametrize("value", [np.float32(0.998), np.int16(-1), np.nan, 1e300])
def test_other_labels_are_refused(value):
    with pytest.raises(DataError, match=r"^one: label value .* is no class"):
        whole_labels(np.array([0, value], dtype=np.asarray(value).dtype), Path("one"))


@given(st.lists(st.integers(0, 3), min_size=1), st.floats(-9e-4, 9e-4), st.sampled_from([np.float32, np.float64]))
def test_rounding_never_changes_a_class(classes, off, kind):
    label = (np.array(classes) + off).astype(kind)
    assert whole_labels(label, Path("one")).tolist() == classes


@pytest.mark.parametrize("array", [VOXELS.astype(">i2"), VOXELS.astype(np.float64), VOXELS.astype(np.uint16)])
def test_other_types_and_orders_of_bytes_are_read(array, tmp_path):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "one.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "one.nii.gz")[0], VOXELS)
    nibabel.save(nibabel.Nifti2Image(array, np.eye(4)), tmp_path / "two.nii.gz")
    np.testing.assert_array_equal(read_nifti(tmp_path / "two.nii.gz")[0], VOXELS)


def test_scaling_of_the_header_is_applied(tmp_path):
    path = tmp_path / "one.nii.gz"
    path.write_bytes(packed(112, "<2f", 0.5, 3.0))
    np.testing.assert_allclose(read_nifti(path)[0], VOXELS * 0.5 + 3)
