"""Schema of the lines of a run's ledger.jsonl."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api.strict import Strict
from harness.records.process_info import ProcessInfo


class LedgerLine(Strict):
    """One line of ledger.jsonl. Seconds and steps are those of this attempt so far; `base_*` are those it resumed from.

    Useful in the end is the base of the last attempt and what that attempt spent. All else is lost.

    begin: first line of an attempt, with its process and machine.
    start: the base of the attempt is known.
    """

    schema_version: Literal[2] = 2
    kind: Literal["begin", "start", "heartbeat", "checkpoint", "end", "violation"]
    attempt: int = Field(ge=0)
    at: str = Field(description="UTC, ISO 8601")
    environment: str = Field(description="fingerprint")
    base_device_seconds: float = Field(0.0, ge=0)
    base_steps: int = Field(0, ge=0)
    device_seconds: float = Field(0.0, ge=0, description="charged in this attempt")
    steps: int = Field(0, ge=0, description="finished in this attempt")
    wall_seconds: dict[str, float] = Field(default_factory=dict, description="by phase, in this attempt")
    process: ProcessInfo | None = Field(None, description="of a line `begin`")
    note: str | None = None
