"""How one unit's execution ended, seen from the driver."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Outcome:
    """The end of one unit's execution.

    ok, failed:  a result was written.
    interrupted: it goes on later.
    held:        another process runs it.
    refused:     it could not start or write (bad data, a full disk); `exit_code` and `message` say why.
    killed:      its process died without a word.
    """

    unit: str
    status: Literal["ok", "failed", "interrupted", "held", "refused", "killed"]
    message: str = ""
    exit_code: int = 0
