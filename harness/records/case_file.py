"""cases.parquet as it is written; `cases.parse_cases` reads it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

_BITS = {"dice": 16, "nsd_": 11, "hd95_": 13, "asd_": 11, "assd_": 11}
"""Of the fraction, by how a column begins: with n bits the relative rounding is at most 1 in 2 ** n."""


def pack_cases(cases: pd.DataFrame) -> bytes:
    """Per-case records as Parquet: metrics rounded, to `_BITS`.

    Not compressed, and the bytes of a number apart: the archive that holds many of them packs them to half the size.
    """
    bits = {str(name): own for name in cases.columns for begin, own in _BITS.items() if str(name).startswith(begin)}
    cases = cases.assign(**{name: _rounded(cases[name].to_numpy(np.float64), own) for name, own in bits.items()})
    kinds = {str(name): dtype.kind for name, dtype in cases.dtypes.items()}
    narrow = {name: {"f": "float32", "i": "int32"}[kind] for name, kind in kinds.items() if kind in "fi"}
    texts = [name for name, kind in kinds.items() if kind == "O"]
    split = dict.fromkeys(narrow, "BYTE_STREAM_SPLIT")
    content = io.BytesIO()
    cases.astype(narrow).to_parquet(
        content, index=False, compression=None, use_dictionary=texts, column_encoding=split, write_statistics=False
    )
    return content.getvalue()


def _rounded(values: NDArray[np.float64], bits: int) -> NDArray[np.float64]:
    """To so few bits of the fraction that the last bytes of most numbers are alike."""
    fractions, exponents = np.frexp(values)
    rounded: NDArray[np.float64] = np.ldexp(np.round(np.ldexp(fractions, bits)), exponents - bits)
    return rounded
