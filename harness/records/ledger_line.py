"""Schema of the lines of a run's ledger.jsonl."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from harness.api.strict import Strict
from harness.records.place import Place


class LedgerLine(Strict):
    """One line of ledger.jsonl. Seconds and steps are those of this attempt up to now, `base_*` what it resumed from.

    useful at the end = base of the last attempt + what it spent; everything else that was spent is lost.
    begin: the first line of an attempt, which says where it runs; start: what it goes on from is known.
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
    place: Place | None = Field(None, description="of a line `begin`")
    note: str | None = None
