from dataclasses import replace

import pytest

from harness.leaderboard.summary import summary_text
from harness.records.budget import Budget, StageSteps
from tests.synthetic import RunSpec, board_of, write_records

STEPS = Budget(reference_steps=500, stages=(StageSteps(name="train", share=1.0, steps=500),))


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    failed = {("ua_mt", 3, 0, 0), ("ua_mt", 3, 0, 1)}
    spec = RunSpec(failed=failed, spacing_mm=1.5, budget=STEPS)
    other = spec.environment.model_copy(update={"device_model": "Other CPU"})
    spec = replace(spec, environments={("mc_net", 3, 0, 1): other})
    return board_of(write_records(tmp_path_factory.mktemp("runs") / "phantom_mini", spec))


def test_lead_is_over_the_baseline_and_marked_as_the_pairs_are(mini):
    table = summary_text(mini).split("7 labelled patients")[-1]
    rows = {line.split()[1]: line.split() for line in table.splitlines() if "[" in line}
    pair = mini.paired.query("labelled == 7 and checkpoint == 'last' and metric == 'dice'")
    (difference,) = pair[(pair["entry_a"] == "mc_net") & (pair["entry_b"] == "supervised")].to_dict("records")
    lead = rows["mc_net"].index(f"{100 * difference['difference']:+.1f}")
    assert rows["mc_net"][lead + 1] == ("yes" if difference["significant"] else "no")
    assert "baseline" in rows["supervised"]
