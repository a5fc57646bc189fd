"""Node-local copies of caches: read once from the shared disk by one process of each node."""

import errno
import hashlib
import logging
import os
import shutil
import uuid
from dataclasses import replace
from pathlib import Path

from harness.api.errors import HarnessError
from harness.data.cache import DEVELOPMENT, TEST, Cache
from harness.data.lock import alone
from harness.records.manifest import MANIFEST, read_manifest

log = logging.getLogger(__name__)

VARIABLE = "HARNESS_LOCAL_DATA"
"""Environment variable: a folder on a node's own disk, say $SLURM_TMPDIR. Unset: data are read where they lie."""

BLOCK_BYTES = 1 << 22


def local_home() -> Path | None:
    """The folder that $HARNESS_LOCAL_DATA names."""
    home = os.path.expandvars(os.environ.get(VARIABLE, ""))
    return Path(os.path.expanduser(home)) if home else None  # noqa: PTH111 - Path raises where there is no such user


def local_copy(cache: Cache, home: Path | None) -> Cache:
    """The same cache below `home`, copied there first if need be; the cache itself where `home` is None or no use.

    The copy appears whole or not at all. Test cases are copied as bytes, never opened. A disk that is full, absent or
    not ours costs a message.
    """
    if home is None:
        return cache
    if not home.is_absolute() or "$" in str(home):
        why = "is no absolute path, or names a variable that is not set here"
        log.warning(f"{VARIABLE}={home} {why}; reading {cache.folder}")
        return cache
    destination = home / f"harness-{os.getuid()}" / f"{cache.manifest.dataset}-{cache.manifest.checksum[:16]}"
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with alone(destination):
            if not _is_copy(cache, destination):
                _copy(cache, destination)
                log.info(f"copied {cache.manifest.dataset} to {destination}")
        return replace(Cache.open(destination), on_violation=cache.on_violation)
    except (OSError, HarnessError) as error:
        reason = getattr(error, "strerror", None) or error
        log.warning(f"no local copy of {cache.manifest.dataset} in {home} ({reason}); reading {cache.folder}")
        return cache


def _is_copy(cache: Cache, destination: Path) -> bool:
    if not (destination / MANIFEST).is_file():
        return False
    return read_manifest(destination / MANIFEST).checksum == cache.manifest.checksum


def _copy(cache: Cache, destination: Path) -> None:
    """Copy beside `destination`, compare, rename. For the lock's owner alone: what others left half done goes first."""
    for left in destination.parent.glob(f".{destination.name}.copy-*"):
        shutil.rmtree(left, ignore_errors=True)
    shutil.rmtree(destination, ignore_errors=True)
    aside = destination.with_name(f".{destination.name}.copy-{uuid.uuid4().hex[:12]}")
    aside.mkdir()
    try:
        for name in (DEVELOPMENT, TEST, MANIFEST):
            _copy_file(cache.folder / name, aside / name)
        aside.rename(destination)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _copy_file(source: Path, target: Path) -> None:
    hasher = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(BLOCK_BYTES):
            hasher.update(block)
            writer.write(block)
        writer.flush()
        os.fsync(writer.fileno())
    with target.open("rb") as written:
        if hashlib.file_digest(written, "sha256").digest() != hasher.digest():
            raise OSError(errno.EIO, f"{target} is not what was copied to it")
