"""A MetaImage file (.mha, .mhd), read with SimpleITK."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.api.errors import DataError
from harness.api.reading import reading
from harness.api.scans.compressed import require_regular
from harness.api.scans.geometry import Geometry, Header, geometry_of

TOWARDS_RAS = np.array([-1.0, -1.0, 1.0])
"""ITK's coordinates run to the left, posterior and superior."""


def read_metaimage(path: Path) -> tuple[NDArray[Any], Geometry]:
    """Voxels [X, Y, Z] and where they lie. Raises `DataError` with the file for whatever is wrong with it."""
    import SimpleITK

    with reading(path):
        require_regular(path)
        image = SimpleITK.ReadImage(str(path), imageIO="MetaImageIO")
        voxels = SimpleITK.GetArrayFromImage(image).transpose()
        if image.GetNumberOfComponentsPerPixel() != 1 or voxels.ndim != 3:
            raise DataError(f"{path}: holds an image of shape {voxels.shape}; a volume has three axes of numbers")
        sizes = np.array(image.GetSpacing())
        directions = np.array(image.GetDirection()).reshape(3, 3)  # a column for each axis of the array
        header = Header(
            path=path,
            shape=voxels.shape,
            field="ElementSpacing",
            sizes=sizes,
            steps=(directions * sizes).T * TOWARDS_RAS,
            origin=np.array(image.GetOrigin()) * TOWARDS_RAS,
            unit="",
            stated=False,
        )
        return voxels, geometry_of(header)
