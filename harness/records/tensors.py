"""Tensors in files, as `torch.save` writes them."""

import errno
from pathlib import Path
from typing import Any

import torch


def save_tensors(content: dict[str, Any], path: Path) -> None:
    """`torch.save` that tells a full disk as such, not as a RuntimeError about positions."""
    try:
        with path.open("wb") as file:
            torch.save(content, file)
    except RuntimeError as error:
        if isinstance(error.__context__, OSError):
            raise error.__context__ from None
        if "inline_container" in str(error) or "PytorchStreamWriter" in str(error):
            raise OSError(errno.EIO, str(error).splitlines()[0]) from None
        raise
