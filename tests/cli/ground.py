"""What the tests of the command line stand on: tiny suites, tiny scans, full disks, and proof that nothing changed."""

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from benchmarks.acdc import ACDC
from tests.support import call_cli, require, run_cli

SUITE = """\
name: tiny
dataset: phantom
preprocessing: {size: [32, 32], resize: area}
labelled: [2]
seeds: [0]
methods:
  supervised:
  ua_mt:
budget: {steps: 4}
engine: {batch_size: 4, validations: 2}
"""
DEAD_URI = "http://127.0.0.1:9"
"""Port 9 (discard): nothing answers there."""

SUPERVISED, UA_MT = "supervised/2/0/0", "ua_mt/2/0/0"


def write_suite(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SUITE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


def snapshot(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in sorted(root.rglob("*"))
        if "index" not in path.relative_to(root).parts
    }


def refuse(
    *args: str | Path, code: int, named: tuple[str, ...], unchanged: Path, env: Mapping[str, str | None] | None = None
) -> str:
    """Call the command line, which must refuse, name what is wrong and leave no trace below `unchanged`.

    It gets a process of its own where `env` steers Python's imports.
    """
    before = snapshot(unchanged)
    done = (run_cli if "PYTHONPATH" in (env or {}) else call_cli)(*args, env=env, cwd=unchanged, code=code)
    assert "Traceback" not in done.stdout
    assert done.stderr.splitlines()[-1]
    missing = [text for text in named if text not in done.stderr]
    assert missing == [], done.stderr
    assert snapshot(unchanged) == before
    return done.stderr


def repack(archive: Path, change: Callable[[tarfile.TarInfo, bytes], bytes]):
    """Give each member of an archive other content, or another name."""
    with tarfile.open(archive) as old:
        members = [(member, (old.extractfile(member) or io.BytesIO()).read()) for member in old]
    with tarfile.open(archive, "w:gz") as new:
        for member, content in members:
            member.pax_headers = {}  # they hold the old name of a long path, and would win
            changed = change(member, content)
            member.size = len(changed) if member.isreg() else 0
            new.addfile(member, io.BytesIO(changed))


def write_scan(path: Path, image: np.ndarray, label: np.ndarray):
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        file["image"], file["label"] = image, label


def tiny_acdc(root: Path) -> Path:
    (root / "data" / "slices").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, patients in ACDC.splits.items():
        for case in (f"{patient}_frame{number:02d}" for patient in patients for number in (1, 2)):
            image = rng.random((1, 16, 16), dtype=np.float32)
            label = rng.integers(0, 4, (1, 16, 16), dtype=np.uint8)
            if split == "train":
                write_scan(root / "data" / "slices" / f"{case}_slice_1.h5", image[0], label[0])
            else:
                write_scan(root / "data" / f"{case}.h5", image, label)
        (root / f"{split}.list").write_text("".join(f"{patient}\n" for patient in patients))
    return root


def linked_copy(source: Path, target: Path) -> Path:
    """A copy of a tree whose files are hard links: replace a file, never write into it."""
    shutil.copytree(source, target, copy_function=os.link)
    return target


@contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    mounted = (
        shutil.which("mount") is not None and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )
    require("tmpfs", mounted, "mounting a tmpfs takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, capture_output=True)


def remount(folder: Path, options: str):
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True, capture_output=True)
