"""LA in the literature's split: 80 training patients and no validation, so that the last checkpoint is the only one."""

from collections.abc import Mapping
from typing import ClassVar

from benchmarks.la import LA, TEST, TRAIN
from harness.api.dataset import Split


class LA8020(LA):
    """80/20 patients as published; the volumes are those of `la`."""

    name = "la_8020"
    splits: ClassVar[Mapping[Split, tuple[str, ...]]] = {"train": TRAIN, "val": (), "test": TEST}
