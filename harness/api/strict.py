"""The base of every schema, and digests of values."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict


def _instant(text: str) -> str:
    if datetime.fromisoformat(text).year < 1970:
        raise ValueError("before 1970")
    return text


Instant = Annotated[str, AfterValidator(_instant)]
"""A date and time as ISO 8601 writes it."""


def now() -> Instant:
    """UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Strict(BaseModel):
    """Immutable, unknown keys refused, no NaN."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def canonical_json(value: Any) -> str:  # noqa: ANN401 - anything JSON can hold
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:  # noqa: ANN401
    """sha256 of the canonical JSON, in hex."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def is_none(value: object) -> bool:
    """For fields that a record leaves out where they are None."""
    return value is None


def without_none(value: Any) -> Any:  # noqa: ANN401
    """The value without fields that are None, at any depth; hyper-parameters too."""
    if isinstance(value, dict):
        return {key: without_none(inner) for key, inner in value.items() if inner is not None}
    return value
