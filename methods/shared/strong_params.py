"""The switch that gives a method ACTION's strong augmentation, so that a table can tell what the rest adds."""

from __future__ import annotations

from torch import Tensor

from harness.api.params import Alteration, MethodParams, hyper
from methods.shared.strong import FINE_TUNING, strong


class StrongParams(MethodParams):
    """Hyper-parameters of every method that may borrow it."""

    strong: bool = hyper(False, "ACTION's jitter and blur on what the trained network sees")

    @property
    def augmentation(self) -> tuple[Alteration, ...]:
        """What `augment` does, as a method declares it."""
        return ("altered",) if self.strong else ()

    def augment(self, images: Tensor) -> Tensor:
        """Images [N, C, *size] as the trained network is to see them."""
        return strong(images, FINE_TUNING) if self.strong else images
