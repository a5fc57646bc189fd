"""predictions.npz: label maps come back as they were, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.api.dataset import LabelMap
from harness.api.errors import RecordError
from harness.records.artifacts import write_arrays
from harness.records.run_folder import RunFolder


@pytest.fixture
def labels() -> dict[str, LabelMap]:
    """Two cases of different shapes."""
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 4, shape, dtype=np.uint8) for name, shape in (("a", (3, 9, 7)), ("b", (2, 5, 6)))}


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    """An empty run."""
    return RunFolder(tmp_path)


def assert_equal(found: dict[str, LabelMap], wanted: dict[str, LabelMap]) -> None:
    assert found.keys() == wanted.keys()
    for case, values in wanted.items():
        assert found[case].dtype == np.uint8
        assert np.array_equal(found[case], values)


def test_round_trip(folder: RunFolder, labels: dict[str, LabelMap]) -> None:
    before = folder.has_predictions
    folder.write_predictions(labels)
    assert (before, folder.has_predictions) == (False, True)
    assert_equal(folder.predictions(), labels)
    assert_equal(folder.predictions(["b", "unknown"]), {"b": labels["b"]})


def test_a_run_of_an_early_version_has_none(folder: RunFolder) -> None:
    assert folder.predictions() == {}


def test_equal_maps_give_equal_bytes(tmp_path: Path, labels: dict[str, LabelMap]) -> None:
    for name in ("one", "two"):
        write_arrays(tmp_path / name, labels, compressed=True)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_label_maps_compress_to_a_fraction(folder: RunFolder) -> None:
    disc = np.hypot(*np.meshgrid(np.arange(256) - 128, np.arange(216) - 108)) < 40
    folder.write_predictions({f"case{i}": np.repeat(disc[None].astype(np.uint8), 10, axis=0) for i in range(4)})
    assert (folder.path / "predictions.npz").stat().st_size < 0.01 * 4 * 10 * 256 * 216


@pytest.mark.parametrize("content", [b"", b"no archive", None], ids=["empty", "foreign", "truncated"])
def test_a_damaged_file_is_named(folder: RunFolder, labels: dict[str, LabelMap], content: bytes | None) -> None:
    folder.write_predictions(labels)
    path = folder.path / "predictions.npz"
    path.write_bytes(path.read_bytes()[:200] if content is None else content)
    with pytest.raises(RecordError, match=r"predictions\.npz: not a record"):
        folder.predictions()


def test_a_newer_version_is_refused(folder: RunFolder, labels: dict[str, LabelMap]) -> None:
    with (folder.path / "predictions.npz").open("wb") as file:
        np.savez_compressed(file, schema_version=np.array(99), a=labels["a"])
    with pytest.raises(RecordError, match="newer version"):
        folder.predictions()
