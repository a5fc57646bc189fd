"""The left atrium as UA-MT (github.com/yulequan/UA-MT) distributes it, and as many code bases read it.

<ID>/mri_norm2.h5      image [X, Y, Z] float32, z-scored over the whole volume and then cropped around the ground
                       truth; label [X, Y, Z] uint8 in {0, 1}
train.list, test.list  the published splits (need not be there)

Voxel size is not recorded.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from benchmarks.layouts import look_for
from benchmarks.layouts.files import inside
from benchmarks.layouts.h5_file import read_h5
from benchmarks.layouts.volumes import label_problems, list_sources, patients_folder, patients_in, volume_problems
from harness.api.dataset import Case, CaseSource, Split
from harness.api.errors import DataError

FILE = "mri_norm2.h5"
UA_MT_SIGN = f"<ID>/{FILE} (also in '2018LA_Seg_Training Set/')"


def ua_mt_folder(root: Path) -> Path | None:
    """The folder that holds the patients' folders."""
    return patients_folder(root, FILE)


def ua_mt_sources(root: Path, homes: Mapping[str, Split]) -> Iterator[CaseSource]:
    """One volume of each patient, and a source that raises for whatever is amiss.

    homes: the split of each patient, in published order.
    """
    yield from list_sources(root, homes)
    folder = ua_mt_folder(root) or root
    for patient in patients_in(folder, FILE, homes):
        path, split = folder / patient / FILE, homes.get(patient, "train")
        yield from look_for(path, patient, split, partial(_patient_sources, patient, split, path))


def _patient_sources(patient: str, split: Split, path: Path) -> Iterator[CaseSource]:
    if not path.exists():
        raise DataError(f"{path}: missing patient; unpack the data again")
    yield CaseSource(patient, patient, split, path, partial(_load, patient, split, path))


def _load(patient: str, split: Split, path: Path) -> Case:
    image, label = read_h5(inside(path))
    problems = volume_problems(path, image, path, label) or label_problems(path, label, (0, 1))
    if problems:
        raise DataError("\n".join(problems))
    return Case(id=patient, patient=patient, split=split, image=image, label=label)
