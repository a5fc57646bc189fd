"""Preprocessed cases in files beside a prepared cache: the processes of a machine map them and keep no copies.

A file is made once per split, preprocessing, protocol and build of torch, by the first process that asks for it. Every
process checks all of its CRC-32 sums before it maps it, copy-on-write. Files may be deleted while nobody trains.
"""

import errno
import logging
import pickle
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from harness.api.reading import one_line
from harness.api.strict import digest
from harness.data.cache import Cache
from harness.data.lock import alone
from harness.data.preprocess import Preprocessed, preprocess
from harness.records.checksums import refuse_damaged_zip
from harness.records.files import replace_file
from harness.records.schema import PROTOCOL_VERSION, Preprocessing
from harness.records.tensors import save_tensors

log = logging.getLogger(__name__)

Tensors = dict[str, Tensor]
UNUSABLE = (RuntimeError, ValueError, KeyError, pickle.UnpicklingError)
"""What torch and we raise for a zip file that is whole and holds something else."""


def map_cases(cache: Cache, split: str, preprocessing: Preprocessing) -> Preprocessed:
    """The cases of "train" or "val", mapped from their file, which is made first if need be.

    A folder that cannot be written costs a warning and memory of this process's own. Raises as `Cache.cases`.
    """
    infos, cases = cache.manifest.of(split), cache.cases(split)
    origin = _origin(cache, split, preprocessing)
    path = cache.folder / _name(split, preprocessing, origin)
    try:
        tensors = _read(path, origin)
        if tensors is None:
            with alone(path):
                tensors = _read(path, origin)
                if tensors is None:
                    tensors = _make(path, origin, preprocess(infos, cases, preprocessing))
        return Preprocessed(preprocessing, infos, **tensors)
    except OSError as error:
        log.warning(f"{path}: cannot be shared ({error.strerror or error}); this process takes memory of its own")
        return preprocess(infos, cache.cases(split), preprocessing)


def _origin(cache: Cache, split: str, preprocessing: Preprocessing) -> str:
    """Digest of all that the bytes depend on: resizing may round otherwise in another build or on another CPU."""
    return digest(
        {
            "data": cache.manifest.checksum,
            "split": split,
            "preprocessing": preprocessing.model_dump(mode="json"),
            "protocol": PROTOCOL_VERSION,
            "torch": torch.__version__,
            "cpu": torch.backends.cpu.get_cpu_capability(),
        }
    )


def _name(split: str, preprocessing: Preprocessing, origin: str) -> str:
    """Apart for every origin: train-96x96-area-0123456789ab.pt."""
    size = "x".join(map(str, preprocessing.size))
    how = f"shrink{preprocessing.shrink or 1}" if len(preprocessing.size) == 3 else preprocessing.resize
    return f"{split}-{size}-{how}-{origin[:12]}.pt"


def _read(path: Path, origin: str) -> Tensors | None:
    """The mapped tensors of a file of this origin; None where there is none. Another one is removed."""
    try:
        refuse_damaged_zip(path)
        content = torch.load(path, mmap=True, weights_only=True)
        if not isinstance(content, dict) or content.get("origin") != origin:
            raise ValueError("made of other data, or in another way")
        return {name: content[name] for name in ("images", "labels", "native")}
    except FileNotFoundError:
        return None
    except (zipfile.BadZipFile, *UNUSABLE) as error:
        if "mmap" in str(error):
            raise OSError(errno.ENODEV, one_line(str(error))) from error
        log.warning(f"{path}: damaged or not ours ({one_line(str(error))}); made again from the prepared cases")
        path.unlink(missing_ok=True)
        return None


def _make(path: Path, origin: str, data: Preprocessed) -> Tensors:
    """Write a file and map it, as the lock's owner: what a dead one left half done goes first. Raises `OSError`."""
    for left in path.parent.glob(f".{path.name}.{'[0-9a-f]' * 8}"):
        left.unlink(missing_ok=True)
    tensors = {"images": data.images, "labels": data.labels, "native": data.native}
    replace_file(path, lambda aside: save_tensors({"origin": origin, **tensors}, aside))
    log.info(f"{path}: {path.stat().st_size / 1e6:.0f} MB, to be shared by all runs with this preprocessing")
    return _read(path, origin) or tensors
