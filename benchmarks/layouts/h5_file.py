"""An HDF5 file with a scan: `image` and `label`, each an array of real numbers that lies in this very file."""

from pathlib import Path
from typing import Any

import h5py
from numpy.typing import NDArray

from harness.api.dataset import LabelMap
from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.compressed import MOST_GROWTH, require_possible, require_regular
from harness.api.scans.values import require_real, whole_labels


def read_h5(path: Path) -> tuple[NDArray[Any], LabelMap]:
    """Image and label as they lie in a file. Raises `DataError` with the file for whatever is wrong with it."""
    with reading(path):
        require_regular(path)
        return _image_and_label(path)


def _image_and_label(path: Path) -> tuple[NDArray[Any], LabelMap]:
    with h5py.File(path, "r", locking=False) as file:
        if not all(name in file for name in ("image", "label")):
            raise DataError(f"{path}: has no image or no label; get the file again")
        image, label = (_array(file[name], path, name) for name in ("image", "label"))
        return image, whole_labels(label, path)


def _array(node: object, path: Path, name: str) -> NDArray[Any]:
    """The array behind a name. What lies elsewhere would be read as zeros where it is away."""
    if not isinstance(node, h5py.Dataset) or node.shape is None:
        raise DataError(f"{path}: {name} is no array; get the file again")
    if node.is_virtual or node.external:
        raise DataError(f"{path}: the voxels of {name} lie in other files; write them into this one")
    require_real(node, path, name)
    held = int(node.id.get_storage_size())
    if not held:
        raise DataError(f"{path}: {name} was never written; get the file again")
    require_possible(held, int(node.nbytes), MOST_GROWTH)
    voxels: NDArray[Any] = node[()]
    return voxels
