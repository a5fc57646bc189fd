"""Keeps the arrays and figures that a method leaves. A picture must never cost a run its numbers."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from harness.api.method import Method
from harness.records.arrays import Array, refuse_large
from harness.records.figures import CAPTION, refuse_unfit
from harness.records.run_folder import RunFolder

log = logging.getLogger(__name__)


def keep_arrays(folder: RunFolder, method: Method) -> None:
    """Write the method's arrays and figures into the run's folder, where there are any.

    What goes wrong in the method, or is too large, is left out with a warning.

    Raises:
        DiskError: The records cannot be written.
    """
    arrays: dict[str, Array] = {}
    figures: dict[str, bytes] = {}
    with _warned(f"{folder.run.label}: arrays are not kept"):
        arrays = arrays_of(method)
    with _warned(f"{folder.run.label}: figures are not kept"):
        figures = draw_figures(method, arrays, [validation.diagnostics for validation in folder.validations()])
    if arrays:
        folder.write_arrays(arrays)
    if figures:
        folder.write_figures(figures)


@contextmanager
def _warned(what: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever the method raises, its weights are tested already
        log.warning("%s, %s: %s", what, type(error).__name__, error)


def arrays_of(method: Method) -> dict[str, Array]:
    """The method's arrays on the host. Raises `ValueError` for what is too large, and what the method raises."""
    arrays = {name: tensor.detach().cpu().numpy() for name, tensor in method.arrays().items()}
    refuse_large(arrays)
    return arrays


def draw_figures(
    method: Method, arrays: Mapping[str, Array], diagnostics: Sequence[Mapping[str, float]]
) -> dict[str, bytes]:
    """The method's figures as PNG files, each with its title inside; the same figures give the same bytes.

    Raises `ValueError` for what is too large or badly named, and what the method raises.
    """
    drawn = {}
    for name, figure in method.figures(arrays, diagnostics).items():
        file = io.BytesIO()
        figure.savefig(file, format="png", metadata={"Software": None, CAPTION: figure.get_suptitle() or name})
        drawn[name] = file.getvalue()
    refuse_unfit(drawn)
    return drawn
