from pathlib import Path

import h5py
import numpy as np

from tests.cli.ground import linked_copy, refuse, snapshot, write_scan, write_suite
from tests.support import call_cli, flip_bit

TRUNCATED = "data/patient028_frame01.h5"
TWIN = "data/slices/patient098_frame01_slice_1.h5"


def truncate(root):
    path = root / TRUNCATED
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])


def misplace(root):
    path = root / "test.list"
    content = path.read_text()
    path.unlink()
    path.write_text(content + "patient099\n")


def train_on_a_test_scan(root):
    with h5py.File(root / "data" / "patient011_frame01.h5") as file:
        image, label = file["image"][0], file["label"][0]
    write_scan(root / TWIN, image * np.float32(0.999), label)


FLAWS = {
    "truncated": (truncate, (TRUNCATED, "truncated")),
    "one scan in two splits": (
        train_on_a_test_scan,
        ("data/patient011_frame01.h5 (test)", "patient098_frame01", "one scan in two splits"),
    ),
    "in two splits": (misplace, ("test.list, line 21", "patient099 is published in the train split, not in test")),
}


def test_a_run_names_all_flaws_at_once_and_leaves_no_trace(scans_16, tmp_path):
    root = linked_copy(scans_16, tmp_path / "ACDC")
    for damage, _ in FLAWS.values():
        damage(root)
    suite = write_suite(tmp_path, ("dataset: phantom", "dataset: acdc"))
    named = ("acdc: 3 problems, nothing was prepared", *(text for _, names in FLAWS.values() for text in names))
    env = {"HARNESS_CACHE": str(tmp_path / "cache")}
    command = ("run", "--suite", suite, "--data", root, "--executor", "inline")
    refuse(*command, code=65, named=named, unchanged=tmp_path, env=env)


def test_no_data_at_all_says_which_option(tmp_path):
    refuse("data", "prepare", "acdc", code=65, named=("acdc: no data folder given", "HARNESS_DATA"), unchanged=tmp_path)


def test_prepare_verify_and_list(scans_16, tmp_path):
    before = snapshot(scans_16)
    env = {"HARNESS_CACHE": str(tmp_path / "caches")}
    prepared = call_cli("data", "prepare", "acdc", "--from", scans_16, cwd=tmp_path, env=env)
    assert "200 cases, patients: 70 train, 10 val, 20 test" in prepared.stderr
    cache = Path(prepared.stdout.strip())
    assert cache.parent == tmp_path / "caches"
    assert snapshot(scans_16) == before

    (preprocessed := cache / "train-16x16-area-0123456789ab.pt").write_bytes(bytes(1_500_000))
    listed = call_cli("data", "list", env=env)
    assert str(cache) in listed.stdout
    assert "  1.5 MB  " in listed.stdout
    preprocessed.unlink()
    assert "70 / 10 / 20" in listed.stdout
    call_cli("data", "verify", cache)

    test_file = cache / "test.h5"
    flip_bit(test_file, test_file.stat().st_size // 2)
    refuse("data", "verify", cache, code=65, named=(str(test_file), "sha256"), unchanged=tmp_path)
