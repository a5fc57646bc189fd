"""Hyper-parameters of a method: typed, bounded, documented, and each with its own search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict


class MethodParams(BaseModel):
    """Base of every method's `Params`: immutable, unknown names are errors, values are validated, NaN refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def hyper(
    default: Any,  # noqa: ANN401 - the field's own annotation types it
    doc: str,
    *,
    ge: float | None = None,
    le: float | None = None,
    gt: float | None = None,
    search: Sequence[Any] | None = None,
    scale: Literal["linear", "log", "choice"] = "linear",
) -> Any:  # noqa: ANN401 - a pydantic field stands where its value will
    """Declare one hyper-parameter of a `MethodParams` class.

    ge, le, gt: hard bounds; a suite outside them is refused.
    search:     what a search may try: (low, high) for the scales linear and log, the values themselves for choice;
                None keeps the parameter out of searches.
    """
    space: JsonDict | None = None if search is None else {"scale": scale, "values": list(search)}
    return Field(default, description=doc, ge=ge, le=le, gt=gt, json_schema_extra={"search": space})
