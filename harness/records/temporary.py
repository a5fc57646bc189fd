"""Temporary folders that go with their process, or at the next use once that was killed."""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.records.owner import Owner

MARK = "owner.json"


@contextmanager
def temporary_folder(prefix: str, home: Path | None = None) -> Iterator[Path]:
    """A new folder `home`/`prefix`xxxxxxxx/r that others of the machine cannot enter. It may be renamed.

    Those that dead processes left are removed first.
    """
    home = Path(tempfile.gettempdir()) if home is None else home
    for mark in home.glob(f"{glob.escape(prefix)}????????/{MARK}"):
        with suppress(OSError, ValueError):
            own = mark.parent.lstat().st_uid == os.getuid()
            if own and Owner.model_validate_json(mark.read_bytes()).state == "dead":
                shutil.rmtree(mark.parent, ignore_errors=True)
    around = Path(tempfile.mkdtemp(prefix=prefix, dir=home))  # of mode 0700
    try:
        (around / MARK).write_text(Owner.this().model_dump_json(), encoding="utf-8")
        folder = around / "r"
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(around, ignore_errors=True)
