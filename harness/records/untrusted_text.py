"""Text that comes from elsewhere, made harmless for the terminal, markdown, csv and figures."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_ESCAPES = re.compile(r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?")
"""Whole sequences that colour, move or name a terminal."""

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
"""What steers a terminal or turns the order of letters, and halves of characters that no output can hold."""

_HTML = re.compile(r"<(?=[A-Za-z/!?])")
_LINK = re.compile(r"\](?=[(\[:])")
_FORMULA = ("=", "+", "-", "@")


def without_controls(text: str) -> str:
    """The text without control characters; line breaks and tabs stay."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def single_line(text: str) -> str:
    """The text in one line without control characters."""
    if text.isascii() and text.isprintable():
        return text
    return without_controls(re.sub(r"[ \t]*[\n\r\v\f\x85\u2028\u2029]\s*|\t", " ", _ESCAPES.sub("", text)))


def in_markdown(text: str) -> str:
    """One line in which HTML, links and pictures are shown as they are written."""
    return _LINK.sub(r"\\]", _HTML.sub("&lt;", single_line(text)))


def in_cell(text: str) -> str:
    """The same for a cell of a markdown table."""
    return in_markdown(text).replace("|", "\\|")


def markdown_table(lines: Sequence[Sequence[str]], align: str) -> str:
    """A table of texts from elsewhere, its header first; align: l or r for each column."""
    header, *rows = (" | ".join(map(in_cell, line)) for line in lines)
    rule = " | ".join({"l": ":--", "r": "--:"}[side] for side in align)
    return "\n".join(f"| {line} |" for line in (header, rule, *rows))


def in_figure(text: str) -> str:
    """One line that matplotlib draws as it is: a dollar begins no formula."""
    return single_line(text).replace("$", r"\$")


def csv_text(frame: pd.DataFrame) -> str:
    """The frame as csv. A text that a spreadsheet would compute gets an apostrophe before it."""
    safe = frame.copy(deep=False)
    for name in frame.columns[[dtype.kind not in "biufc" for dtype in frame.dtypes]]:
        safe[name] = frame[name].map({value: _in_csv(value) for value in frame[name].dropna().unique()})
    return safe.rename(columns=_in_csv).to_csv(index=False, lineterminator="\n")


def _in_csv(value: Any) -> Any:  # noqa: ANN401 - any cell
    if not isinstance(value, str):
        return value
    text = single_line(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
