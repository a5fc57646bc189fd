"""Hyper-parameters of a method: typed, bounded, documented, and each with its own search space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict

from harness.api.space import Dimension, Point


class MethodParams(BaseModel):
    """Base of every method's `Params`: immutable, unknown names are errors, values are validated, NaN refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    def space(cls) -> dict[str, Dimension]:
        """What a search varies, by the dimension's name: the fields that declare it, in their order.

        A class whose dimensions are not single fields (a schedule that several temperatures share) extends this, and
        `current_value` and `with_values` with it.

        Returns:
            Dimensions by name.
        """
        extras = {name: field.json_schema_extra for name, field in cls.model_fields.items()}
        spaces = {name: extra.get("search") for name, extra in extras.items() if isinstance(extra, dict)}
        return {name: Dimension.model_validate(space) for name, space in spaces.items() if space is not None}

    def current_value(self, name: str) -> Any:  # noqa: ANN401 - whatever the dimension's values are
        """The value that these parameters have on a dimension; None where they have no single one."""
        return self.model_dump(mode="json").get(name)

    def with_values(self, point: Point) -> dict[str, Any]:
        """These parameters with the values of a point of the space, to be validated; what it does not name stays."""
        return {**self.model_dump(mode="json"), **point}


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

    Args:
        default: The value where a suite gives none.
        doc: What it is, in a line; `harness list --method NAME` shows it.
        ge: Smallest value that is allowed; a suite below it is refused.
        le: Largest value that is allowed.
        gt: Bound that every value must be above.
        search: What a search may try: (low, high) for the scales linear and log, the values themselves for choice. None
            keeps the parameter out of searches.
        scale: How a search moves between them.

    Returns:
        A pydantic field, to stand where the parameter's default stands.

    Example:
        `ema_decay: float = hyper(0.99, "limit of the decay", ge=0, le=1, search=(0.9, 0.99), scale="choice")`
    """
    space: JsonDict | None = None if search is None else {"scale": scale, "values": list(search)}
    return Field(default, description=doc, ge=ge, le=le, gt=gt, json_schema_extra={"search": space})
