"""cases.parquet as it is written; `cases.parse_cases` reads it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_BITS = 13
"""Of the fraction of surface metrics: their relative rounding is at most 1 in 8,192. Tables show three digits."""


def pack_cases(cases: pd.DataFrame) -> bytes:
    """Per-case records as Parquet: Dice in single precision, surface metrics to four digits, as is enough for voxels.

    Not compressed, and the bytes of a number apart: the archive that holds many of them packs them to half the size.
    """
    surfaces = [name for name in cases.columns if name.startswith(("nsd_", "hd95_", "asd_", "assd_"))]
    cases = cases.assign(**{name: _four_digits(cases[name].to_numpy(np.float64)) for name in surfaces})
    kinds = {str(name): dtype.kind for name, dtype in cases.dtypes.items()}
    narrow = {name: {"f": "float32", "i": "int32"}[kind] for name, kind in kinds.items() if kind in "fi"}
    texts = [name for name, kind in kinds.items() if kind == "O"]
    split = dict.fromkeys(narrow, "BYTE_STREAM_SPLIT")
    content = io.BytesIO()
    cases.astype(narrow).to_parquet(
        content, index=False, compression=None, use_dictionary=texts, column_encoding=split, write_statistics=False
    )
    return content.getvalue()


def _four_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rounded to so few bits that the last bytes of most numbers are alike."""
    fractions, exponents = np.frexp(values)
    rounded: NDArray[np.float64] = np.ldexp(np.round(np.ldexp(fractions, _BITS)), exponents - _BITS)
    return rounded
