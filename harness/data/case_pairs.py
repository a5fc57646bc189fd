"""What cases are to each other: the same pixels, one scan under two names, frames that do not lie alike."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from harness.api.dataset import Case, Dataset
from harness.data.twins import Twin, find_twins, turned_frames

MEND = "find out which file is wrong and get the published one again"

Findings = tuple[list[str], list[str]]
"""Problems and warnings."""


def check_pairs(
    dataset: Dataset, cases: Sequence[Case], images: Mapping[str, str], where: Mapping[str, str]
) -> Findings:
    """One scan in two splits (a problem) or twice in one (a warning), and frames that are turned.

    images: `array_sha256` of each image by case id; where: its file.
    """
    problems, warnings = _repeated_pixels(cases, images, where)
    cases = [case if case.channels == 1 else replace(case, image=case.first_channel) for case in cases]
    for twin in _new(find_twins(cases, dataset.dimension), images):
        first, second = twin.first, twin.second
        if first.split == second.split:
            warnings.append(f"{first.id} and {second.id} are perhaps one scan: {twin.why} ({first.split} split)")
        elif twin.certain:
            places = " and ".join(f"{where[case.id]} ({case.split})" for case in (first, second))
            problems.append(f"{places}: one scan in two splits, {twin.why}; {MEND}")
        else:
            places = " and ".join(f"{case.id} ({case.split})" for case in (first, second))
            warnings.append(f"{places} are perhaps one scan in two splits: {twin.why}")
    warnings += [
        f"{first.id} and {second.id} are alike only once one of them is mirrored or turned"
        for first, second in turned_frames(cases)
    ]
    return problems, warnings


def _repeated_pixels(cases: Sequence[Case], images: Mapping[str, str], where: Mapping[str, str]) -> Findings:
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        groups[images[case.id]].append(case)
    across, within = [], []
    for group in (group for group in groups.values() if len(group) > 1):
        if len({case.split for case in group}) > 1:
            places = " and ".join(f"{where[case.id]} ({case.split})" for case in group)
            across.append(f"{places}: the same pixels in two splits; {MEND}")
        else:
            ids = " and ".join(sorted(case.id for case in group))
            within.append(f"{ids} hold the same pixels ({group[0].split} split)")
    return across, within


def _new(twins: Iterable[Twin], images: Mapping[str, str]) -> list[Twin]:
    """Twins whose cases have no closer one with the same patient: ED of one scan resembles ES of the other."""
    by_likeness = sorted(twins, key=lambda twin: -twin.likeness)
    taken: set[tuple[str, str]] = set()
    new = []
    for twin in by_likeness:
        links = {(twin.first.id, twin.second.patient), (twin.second.id, twin.first.patient)}
        if taken.isdisjoint(links):
            new.append(twin)
        taken |= links
    return [twin for twin in new if images[twin.first.id] != images[twin.second.id]]
