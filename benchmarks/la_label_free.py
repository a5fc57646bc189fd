"""LA cropped without the ground truth: what a method would meet in use."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.la import LA
from benchmarks.layouts.crops import Box, Grey, Mask, body_crop
from benchmarks.layouts.la_official import OFFICIAL_SIGN, official_scan
from harness.api.dataset import NewScan


class LALabelFree(LA):
    """72/8/20 patients, each volume cropped to the body; from the official layout alone, whose volumes are whole."""

    name = "la_label_free"
    track = "label_free"
    layouts = ("official",)
    layout_signs: ClassVar[Mapping[str, str]] = {"official": OFFICIAL_SIGN}

    def crop(self, patient: str, grey: Grey, label: Mask) -> Box:
        """The body; the label is compared with it afterwards."""
        return body_crop(grey, label)

    def new_scan(self, voxels: NDArray[Any], spacing_mm: tuple[float, float, float] | None, layout: str) -> NewScan:
        """A volume as the challenge's: axial slices along the file's third axis, 0.625 mm voxels."""
        return official_scan(voxels, spacing_mm, lambda grey: body_crop(grey, np.zeros(grey.shape, np.uint8)))
