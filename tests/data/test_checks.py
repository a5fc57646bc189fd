from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from harness.api import Case, CaseSource, DataError, Dataset
from harness.data.case_pairs import MEND
from harness.data.checks import read_checked


def case(id_, split, seed=None, **changes):
    rng = np.random.default_rng(list(id_.encode()) if seed is None else seed)
    image = rng.random((2, 4, 5)).astype(np.float32)
    label = np.zeros((2, 4, 5), np.uint8)
    label[:, 1:3, 1:3] = 1
    given = {"image": image, "label": label, **changes}
    return Case(id=id_, patient=id_[0], split=split, **given)


class Listed(Dataset):
    name = "listed"
    version = 3
    dimension = 2
    classes = ("background", "organ")
    splits: ClassVar = {"train": ("b", "a"), "val": ("c",), "test": ("d",)}

    def __init__(self, *cases):
        self.cases = cases

    def sources(self, root):
        return [CaseSource(c.id, c.patient, c.split, Path(f"{c.id}.h5"), partial(lambda c: c, c)) for c in self.cases]


WHOLE = (case("a1", "train"), case("b1", "train"), case("c1", "val"), case("d1", "test"))


def problems(*cases):
    dataset = Listed(*cases)
    with pytest.raises(DataError) as refused:
        read_checked(dataset, dataset.sources(None))
    return str(refused.value).splitlines()[1:]


@pytest.mark.parametrize(
    ("cases", "line"),
    [
        ((*WHOLE, case("a2", "test")), "a: in two splits, train (the published splits) and test (a2.h5)"),
        ((*WHOLE, case("a1", "train", seed=5)), "a1: twice (a1.h5, a1.h5)"),
    ],
    ids=["in two splits", "twice"],
)
def test_other_patients_and_cases_than_published_are_refused(cases, line):
    (problem,) = problems(*cases)
    assert problem.partition("; ")[0] == line


def test_values_and_types_are_checked_case_by_case():
    label = np.zeros((2, 4, 5), np.uint8)
    label[1, 2, 3] = 2  # two classes: 0 and 1
    image = np.full((2, 4, 5), np.inf, np.float32)
    bad = (
        case("a1", "train", label=label),
        case("b1", "train", image=image),
        case("c1", "val", image=np.zeros((0, 4, 5), np.float32), label=np.zeros((0, 4, 5), np.uint8)),
        case("d1", "test", spacing_mm=(10.0, 0.0, 1.5)),
    )
    assert [line.split(";")[0] for line in problems(*bad)] == [
        "a1.h5: label value 2 is outside 0..1",
        "b1.h5: image holds values that are not finite",
        "c1.h5: image has shape (0, 4, 5)",
        "c1.h5: label has shape (0, 4, 5)",
        "d1.h5: spacing (10.0, 0.0, 1.5) is not three positive lengths in mm",
    ]


def test_repeated_pixels_warn_within_a_split_and_fail_across():
    label = 1 - WHOLE[0].label
    twin = case("b2", "train", image=WHOLE[0].image, label=label)  # other label, same pixels
    dataset = Listed(*WHOLE, twin)
    checked = read_checked(dataset, dataset.sources(None))
    assert checked.warnings == ("a1 and b2 hold the same pixels (train split)",)
    crossing = case("c2", "val", image=WHOLE[0].image)
    expected = f"a1.h5 (train) and c2.h5 (val): the same pixels in two splits; {MEND}"
    assert problems(*WHOLE, crossing) == [expected]
