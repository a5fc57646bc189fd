"""Says what went wrong inside a plug-in, and at which of its lines."""

import traceback
from collections.abc import Collection

ENGINE = frozenset({"abc", "builtins", "harness", "torch"})
"""Top-level packages of which an author wrote nothing."""


def packages_of(kind: type) -> frozenset[str]:
    """Top-level packages that define a class and those above it, without torch's and the engine's."""
    return frozenset(each.__module__.partition(".")[0] for each in kind.__mro__) - ENGINE


def blame(error: BaseException, packages: Collection[str]) -> str:
    """An error with the place where it arose in these packages, top-level names of the plug-in's modules.

    "KeyError: 'teacher' in MyMethod.training_loss (my_method.py:41)": the function that the engine called, and the
    innermost line of the plug-in, at the end of the message's first line. Without a line of the plug-in the error
    alone.
    """
    first, newline, rest = f"{type(error).__name__}: {error}".partition("\n")
    named = [
        (frame, line, str(frame.f_globals.get("__name__"))) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    own = [each for each in named if each[2].partition(".")[0] in packages]
    if not own:
        return first + newline + rest
    (frame, _, _), (_, line, module) = own[0], own[-1]
    called = frame.f_code.co_qualname
    hook = "" if called == "<module>" else f" in {called}"
    return f"{first}{hook} ({module.replace('.', '/')}.py:{line}){newline}{rest}"
