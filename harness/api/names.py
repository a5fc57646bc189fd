"""Help with mistyped names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def suggest(name: str, known: Iterable[str]) -> str:
    """Help with a mistyped name.

    Args:
        name: What was typed.
        known: Names that there are.

    Returns:
        "did you mean 'X'?" where a known name is near, else a list of all.
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(names)}"
