"""Names of many cases in one line."""

from collections.abc import Sequence

NAMED = 10


def some(names: Sequence[str]) -> str:
    """The first few names, the others counted."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
