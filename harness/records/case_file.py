"""cases.parquet as it is written; `cases.parse_cases` reads it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def pack_cases(cases: pd.DataFrame) -> bytes:
    """Per-case records as Parquet, metrics in the single precision that they are computed to.

    Not compressed, and the bytes of a number apart: the archive that holds many of them packs them a third smaller.
    """
    kinds = {str(name): dtype.kind for name, dtype in cases.dtypes.items()}
    narrow = {name: {"f": "float32", "i": "int32"}[kind] for name, kind in kinds.items() if kind in "fi"}
    texts = [name for name, kind in kinds.items() if kind == "O"]
    split = dict.fromkeys(narrow, "BYTE_STREAM_SPLIT")
    content = io.BytesIO()
    cases.astype(narrow).to_parquet(
        content, index=False, compression=None, use_dictionary=texts, column_encoding=split, write_statistics=False
    )
    return content.getvalue()
