"""Keeps what a method leaves to be drawn. A picture must never cost a unit its numbers."""

from __future__ import annotations

from collections.abc import Callable

from harness.api.method import Method
from harness.records.arrays import MAX_BYTES, Array, size_bytes
from harness.records.run_folder import UnitFolder


def arrays_of(method: Method) -> dict[str, Array]:
    """The method's arrays on the host."""
    return {name: tensor.detach().cpu().numpy() for name, tensor in method.arrays().items()}


def keep_arrays(folder: UnitFolder, method: Method, say: Callable[[str], None]) -> None:
    """Write arrays.npz unless there is nothing to keep; what goes wrong in the method, or is too large, is only said.

    Raises `DiskError` where the record cannot be written.
    """
    try:
        arrays = arrays_of(method)
    except Exception as error:  # noqa: BLE001 - whatever the method raises, its weights are tested already
        say(f"{folder.unit.label}: no arrays to draw, {type(error).__name__}: {error}")
        return
    if size_bytes(arrays) > MAX_BYTES:
        say(f"{folder.unit.label}: arrays of {size_bytes(arrays):,} bytes are not kept (at most {MAX_BYTES:,})")
    elif arrays:
        folder.write_arrays(arrays)
