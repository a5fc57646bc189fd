"""Which files of an SSL4MIS folder are which frame and which slice, however they are numbered.

The published files are called frame01 and frame02, with slices from 1. SSL4MIS's own conversion keeps the frames' own
numbers (frame01 and frame12) and counts slices from 0. Both are read in the order of their numbers.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.api.errors import DataError

ENTRY = re.compile(r"(?P<patient>patient\d{3})_frame(?P<frame>\d+)(?:_slice_(?P<slice>\d+))?(?:\.h5)?")
FRAMES = (1, 2)

Frame = tuple[str, int]
"""Patient and number of a frame, as files and lists give it."""

FROM_ZERO = "slices are numbered from 0, those of train_slices.list from 1; both are taken in their order"
OWN_NUMBERS = "frames have numbers of their own and are taken in their order as frame01 (ED) and frame02 (ES)"


@dataclass
class Names:
    """What the names of files and the lines of train_slices.list say.

    volumes: files of each frame.
    slices:  files of each frame, by number of the slice.
    listed:  numbers of slices of each frame.
    """

    volumes: dict[Frame, list[Path]] = field(default_factory=lambda: defaultdict(list))
    slices: dict[Frame, dict[int, list[Path]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    listed: dict[Frame, set[int]] = field(default_factory=lambda: defaultdict(set))

    @classmethod
    def read(cls, data: Path) -> Names:
        """From the folder data/; files of other names are left alone."""
        names = cls()
        for match, path in _entries(data):
            if match["slice"] is None:
                names.volumes[_frame(match)].append(path)
        for match, path in _entries(data / "slices"):
            if match["slice"] is not None:
                names.slices[_frame(match)][int(match["slice"])].append(path)
        return names

    def list_line(self, match: re.Match[str]) -> None:
        """Note a line of a list."""
        if match["slice"] is not None:
            self.listed[_frame(match)].add(int(match["slice"]))

    def frames(self) -> dict[str, list[int]]:
        """The numbers of each patient's frames that have files, in order."""
        frames: dict[str, set[int]] = defaultdict(set)
        for patient, number in [*self.volumes, *self.slices]:
            frames[patient].add(number)
        return {patient: sorted(numbers) for patient, numbers in frames.items()}

    @property
    def first(self) -> int:
        """The number of a volume's first slice: 0 if most volumes have a slice 0."""
        return int(2 * sum(0 in slices for slices in self.slices.values()) <= len(self.slices))

    @property
    def first_listed(self) -> int:
        """The same in the list: the smallest number that it holds."""
        return min((min(numbers) for numbers in self.listed.values()), default=1)

    def wanted(self, frame: Frame, standard: Frame) -> set[int]:
        """Numbers that a frame's slices should have: those of the list, under either name, else all up to the last."""
        listed = self.listed.get(frame) or self.listed.get(standard)
        if listed:
            return {number - self.first_listed + self.first for number in listed}
        return set(range(self.first, max(self.slices[frame]) + 1))


def own_frames(patient: str, numbers: list[int]) -> Mapping[int, int]:
    """The number under which files hold frame 1 and frame 2.

    Raises `DataError` where that cannot be said.
    """
    if set(numbers) <= set(FRAMES):
        return {number: number for number in FRAMES}
    if len(numbers) == len(FRAMES):
        return dict(zip(FRAMES, numbers, strict=True))
    shown = ", ".join(f"frame{number:02d}" for number in numbers)
    raise DataError(
        f"{patient} has {shown}, where two annotated frames are expected, ED and ES; rename these two frame01 and "
        "frame02 and move any others to another folder"
    )


def slice_problems(names: Names, data: Path, frame: Frame, standard: Frame) -> list[str]:
    """Slices of a frame that are missing, too many or there twice."""
    files, wanted = names.slices[frame], names.wanted(frame, standard)
    stem = data / "slices" / f"{frame[0]}_frame{frame[1]:02d}_slice_"
    problems = [f"{stem}{z}.h5: missing slice; unpack the data again" for z in sorted(wanted - files.keys())]
    for z in sorted(files.keys() - wanted):
        why = f"counts from 0, where other volumes count from {names.first}; number the slices of all volumes alike"
        unlisted = "no such slice in train_slices.list; get list and slices again, from one place"
        problems.append(f"{files[z][0]}: {why if z < names.first else unlisted}")
    problems += [
        f"{' and '.join(map(str, paths))}: two files of one slice; find out which is right"
        for paths in files.values()
        if len(paths) > 1
    ]
    return problems


def _frame(match: re.Match[str]) -> Frame:
    return match["patient"], int(match["frame"])


def _entries(folder: Path) -> Iterator[tuple[re.Match[str], Path]]:
    for path in sorted(folder.glob("patient*.h5")):
        match = ENTRY.fullmatch(path.name)
        if match:
            yield match, path
