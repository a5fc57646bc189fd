"""From which budget of a ladder on a method is ahead."""

from collections.abc import Mapping

WITHIN, NOT_WITHIN, NOT_DETERMINED = "within the ladder", "not within the ladder", "not determined"

LEAST_SEEDS = 3
"""Of a rung that says something: fewer cannot tell a method from its seed."""


def break_even(ahead: Mapping[int, bool | None]) -> tuple[int | None, str]:
    """The smallest rung that is ahead, and from which on every longer one is; and which verdict it is.

    ahead: rung -> whether the method is ahead there; None where nothing can be said. Such rungs are passed over.
    NOT_WITHIN where the method is not ahead on the longest rung that says something, NOT_DETERMINED without any.
    """
    judged = [(rung, lead) for rung, lead in sorted(ahead.items()) if lead is not None]
    if not judged:
        return None, NOT_DETERMINED
    smallest = None
    for rung, lead in reversed(judged):
        if not lead:
            break
        smallest = rung
    return smallest, NOT_WITHIN if smallest is None else WITHIN
