from statistics import fmean

import pandas as pd
import pytest

from tests.report.conftest import unpacked
from tests.report.trials import trials
from tests.support import cases_of, selected_of


def same(value, cell):
    if pd.isna(cell):
        return value is None
    return value == cell if isinstance(cell, str) else value == pytest.approx(cell, rel=1e-8)


@pytest.mark.parametrize(("name", "attribute"), [("rows", "results"), ("curves", "curves")])
def test_frames_arrive_whole(written, name, attribute):
    frame, rows = getattr(written.board, attribute), unpacked(written.data[name])
    assert len(rows) == len(frame)
    for row, (_, cells) in zip(rows, frame.iterrows(), strict=True):
        assert list(row) == list(frame.columns)
        for column in frame.columns:
            assert same(row[column], cells[column]), (column, row[column], cells[column])


def test_patients_are_means_of_the_per_case_records(written):
    (own,) = [one for one in written.data["patients"] if one["checkpoint"] == "last"]
    values: dict[str, dict[str, list[float]]] = {}
    for folder in selected_of(written.store):
        if folder.done and folder.require_result().status == "ok":
            cell = f"{folder.run.method}@{folder.run.labelled or 'all'}"
            for case in cases_of(folder).query("checkpoint == 'last'").to_dict("records"):
                values.setdefault(cell, {}).setdefault(case["patient"], []).append(case["dice"])
    assert set(own["cells"]) == set(values)
    for cell, by_patient in values.items():
        assert own["patients"] == sorted(by_patient)
        assert own["cells"][cell] == pytest.approx([fmean(by_patient[name]) for name in own["patients"]], rel=1e-8)


def test_the_budget_adds_up(written):
    (budget,) = written.data["budgets"]
    results = [folder.require_result() for folder in selected_of(written.store) if folder.done]
    searched = trials()
    total = sum(one.spent.useful_device_seconds + one.spent.lost_device_seconds for one in results)
    total += float(searched["useful_device_seconds"].sum() + searched["lost_device_seconds"].sum())
    kinds = ("useful", "failed", "lost", "search")
    assert sum(one["device"][kind] for one in budget["methods"].values() for kind in kinds) == pytest.approx(total)
    mc_net, ua_mt = (budget["methods"][name]["device"] for name in ("mc_net", "ua_mt"))
    assert mc_net["search"] == pytest.approx(19 * 60.0 + 6.0)
    assert mc_net["lost"] == pytest.approx(29.97 + 2.5)  # a tenth of an interrupted run, and what a trial lost
    assert ua_mt["failed"] == pytest.approx(0.1 * 0.999 * 300)
    assert (mc_net["trials"], mc_net["runs"], ua_mt["runs"]) == (20, 3, 4)
    wall = sum(sum(one.wall_seconds.values()) for one in results)
    assert sum(sum(one["wall"].values()) for one in budget["methods"].values()) == pytest.approx(wall, rel=1e-8)
