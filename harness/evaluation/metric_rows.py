"""Per-case records of label maps, whoever predicted them; needs no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from harness.api.dataset import LabelMap
from harness.evaluation.metrics import Tolerance, case_metrics
from harness.records.manifest import CaseInfo

if TYPE_CHECKING:
    import pandas as pd


def metric_rows(
    predicted: Mapping[str, LabelMap],
    truths: Iterable[tuple[CaseInfo, LabelMap]],
    foreground: Sequence[str],
    tolerance: Tolerance,
    checkpoint: str,
) -> pd.DataFrame:
    """All metrics: one row per case and class.

    truths: the annotated cases, in the order of the rows; checkpoint: the rule that picked the weights.
    """
    import pandas as pd

    rows = []
    for case, truth in truths:
        metrics = case_metrics(predicted[case.id], truth, foreground, case.spacing_mm, tolerance)
        head = {"checkpoint": checkpoint, "case": case.id, "patient": case.patient, "phase": case.phase}
        rows += [head | {"class_name": class_name} | asdict(values) for class_name, values in metrics.items()]
    return pd.DataFrame(rows)
