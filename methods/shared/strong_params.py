"""The switch that gives a method ACTION's strong augmentation, so that a table can tell what the rest adds."""

from __future__ import annotations

from typing import Any

from pydantic import SerializerFunctionWrapHandler, model_serializer
from torch import Tensor

from harness.api.params import MethodParams, hyper
from harness.api.settings import Alteration
from methods.shared.strong import FINE_TUNING, strong


class StrongParams(MethodParams):
    """Left at None the switch is not written out, so that units from before it existed keep their ids."""

    strong: bool | None = hyper(None, "ACTION's jitter and blur on what the trained network sees; None: no")

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What `augment` does, as a method declares it."""
        return ("altered",) if self.strong else ()

    def augment(self, images: Tensor) -> Tensor:
        """Images [N, C, *size] as the trained network is to see them."""
        return strong(images, FINE_TUNING) if self.strong else images

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        values: dict[str, Any] = handler(self)
        if self.strong is None:
            values.pop("strong", None)
        return values
