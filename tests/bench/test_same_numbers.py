import json
import math

import pandas as pd
import pytest
import torch

from tests.bench.same_numbers import COUNTS, by_method, differences


def plant(root, version, weight=1 / 7, dice=2 / 7, validated=0.5):
    """Records of a run by one version of the code, whose ids, names and times are its own."""
    folder = root / "runs" / f"run-{version}"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"method": "ua_mt"}))
    seen = [{"step": 2, "device_seconds": version, "dice": {"LV": validated}}]
    (folder / "result.json").write_text(json.dumps(dict.fromkeys(COUNTS, 4) | {"validations": seen}))
    state = {f"net{version}.weight": torch.tensor([weight, 1.0]), f"net{version}.steps": torch.tensor(4)}
    torch.save({"method": state}, folder / "checkpoint.pt")
    rows = [{"checkpoint": "last", "case": f"case{n}", "class_name": "LV", "dice": n * dice} for n in (1, 2)]
    pd.DataFrame(rows).to_parquet(folder / "cases.parquet")
    return root


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, []),
        ({"weight": 1 / 7 + 2e-8}, ["weights"]),
        ({"validated": 0.25}, ["validations[0].dice"]),
        ({"dice": math.nextafter(2 / 7, 1)}, ["cases[last, case1, LV].dice", "cases[last, case2, LV].dice"]),
    ],
    ids=["other names, ids and times", "a bit of the weights", "a validation", "the last bit of a Dice"],
)
def test_what_differs_is_named(changes, named, tmp_path):
    old, new = by_method(plant(tmp_path / "a", 1)), by_method(plant(tmp_path / "b", 2, **changes))
    ((method, lines),) = differences(old, new)
    assert (method, [line.partition(": ")[0] for line in lines]) == ("ua_mt", named)
