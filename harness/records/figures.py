"""figures/NAME.png of a run: what its method drew when training ended. Each file holds its caption.

Records may come from strangers, so a figure must be a whole PNG of bounded size. No code of the method is needed to
show it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.api.errors import RecordError
from harness.records.files import write_bytes

MAX_BYTES = 1_000_000
"""Limit of all figures of a run."""

MAX_PIXELS = 20_000_000
"""Limit of one figure: a small file can hold a picture that fills the memory when it is opened."""

MAX_CAPTION = 300
"""Characters."""

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,59}")
CAPTION = "Title"
"""Key of the caption among the texts of a PNG; the PNG specification defines it as a short title."""


@dataclass(frozen=True)
class Figure:
    """A stored picture: content of the file, and the method's caption."""

    name: str
    png: bytes
    caption: str


def refuse_unfit(figures: Mapping[str, bytes]) -> None:
    """Raise `ValueError` where a name is no file name, a figure is no PNG, or all are too large for a record."""
    total = sum(map(len, figures.values()))
    if total > MAX_BYTES:
        raise ValueError(f"figures of {total:,} bytes are more than a record holds ({MAX_BYTES:,})")
    for name, png in figures.items():
        if not NAME.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a figure: use small letters, digits, - and _")
        caption_of(png)


def caption_of(png: bytes) -> str:
    """The caption of a PNG, or "". Raises `ValueError` where the bytes are no whole PNG."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ValueError(f"{width} x {height} pixels are more than a figure holds")
            caption = str(image.info.get(CAPTION, ""))
            image.verify()
    except (OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"not a PNG ({error})") from None
    return caption[:MAX_CAPTION]


def write_figures(folder: Path, figures: Mapping[str, bytes]) -> None:
    """Write FOLDER/NAME.png atomically. Raises `ValueError` as `refuse_unfit`, and `DiskError`."""
    refuse_unfit(figures)
    for name, png in figures.items():
        write_bytes(folder / f"{name}.png", png)


def read_figures(folder: Path) -> tuple[Figure, ...]:
    """The figures in a folder, in the order of their names. Empty without the folder.

    Raises:
        RecordError: A file is no PNG, has another name than figures have, or all together are too large.
    """
    paths = sorted(folder.glob("[!.]*"))
    total = sum(path.stat().st_size for path in paths)
    if total > MAX_BYTES:
        raise RecordError(f"{folder}: {total:,} bytes are more than the figures of a run hold ({MAX_BYTES:,})")
    return tuple(map(_read_figure, paths))


def _read_figure(path: Path) -> Figure:
    try:
        if path.suffix != ".png" or not NAME.fullmatch(path.stem):
            raise ValueError("not a name of a figure")
        png = path.read_bytes()
        return Figure(path.stem, png, caption_of(png) or path.stem)
    except (OSError, ValueError) as error:
        raise RecordError(f"{path}: not a figure of a run; it may be damaged ({error})") from None
