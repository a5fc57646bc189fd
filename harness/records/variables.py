"""Environment variables that hold paths and numbers."""

import math
import os
import re
from pathlib import Path

from harness.api.errors import UsageError


def path_of(name: str) -> Path | None:
    """The path in a variable, with ~ and $NAME expanded, which no shell does in a .env file; None where it is not set.

    Raises `UsageError` where it names a variable or a user that is not known here.
    """
    text = os.environ.get(name, "")
    path = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 - Path raises where there is no such user
    if path.startswith("~") or re.search(r"\$(\w|\{)", path):
        raise UsageError(f"{name}={text}: names a variable or a user that is not known here; write the path out")
    return Path(path) if text else None


def whole_number_of(name: str, least: int = 0) -> int | None:
    """The whole number in a variable; None where it is not set. Raises `UsageError`."""
    text = os.environ.get(name, "")
    if text and not (re.fullmatch(r"[0-9]{1,9}", text) and int(text) >= least):
        raise UsageError(f"{name}={text}: not a whole number from {least} on; the harness sets it itself, so unset it")
    return int(text) if text else None


def number_of(name: str) -> float | None:
    """The number in a variable; None where it is not set. Raises `UsageError`."""
    text = os.environ.get(name, "")
    try:
        number = float(text or 0)
    except ValueError:
        number = math.nan
    if math.isnan(number):
        raise UsageError(f"{name}={text}: not a number; the harness sets it itself, so unset it")
    return number if text else None
