from dataclasses import replace

import pytest

from harness.leaderboard.notes import MINI
from harness.leaderboard.summary import summary_text
from harness.records.budget import Budget, StageSteps
from tests.synthetic import GAINS, RunSpec, board_of, write_records

STEPS = Budget(reference_steps=500, stages=(StageSteps(name="train", share=1.0, steps=500),))


@pytest.fixture(scope="module")
def mini(tmp_path_factory):
    failed = {("ua_mt", 3, 0, 0), ("ua_mt", 3, 0, 1)}
    spec = RunSpec(failed=failed, spacing_mm=1.5, budget=STEPS)
    other = spec.environment.model_copy(update={"device_model": "Other CPU"})
    spec = replace(spec, environments={("mc_net", 3, 0, 1): other})
    return board_of(write_records(tmp_path_factory.mktemp("runs") / "phantom_mini", spec))


def test_the_answer_comes_first_in_80_columns(mini):
    lines = summary_text(mini).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("phantom_mini: 500 reference steps a run, 20 test patients of phantom")
    assert lines[1].startswith(" 3 labelled patients: ")
    text = "\n".join(lines)
    for part in (*GAINS, MINI, "baseline", "ref.", "1/3", "HD95"):
        assert part in text
    failed = "Failed: ua_mt 3-labelled subset 0 seed 0 (nan: loss became NaN at step 17); 1 more such."
    assert failed in " ".join(text.split())
    assert str(mini) == summary_text(mini)


def test_lead_is_over_the_baseline_and_marked_as_the_pairs_are(mini):
    table = summary_text(mini).split("7 labelled patients")[-1]
    rows = {line.split()[1]: line.split() for line in table.splitlines() if "[" in line}
    pair = mini.paired.query("labelled == 7 and checkpoint == 'last' and metric == 'dice'")
    (difference,) = pair[(pair["entry_a"] == "mc_net") & (pair["entry_b"] == "supervised")].to_dict("records")
    lead = rows["mc_net"].index(f"{100 * difference['difference']:+.1f}")
    assert rows["mc_net"][lead + 1] == ("yes" if difference["significant"] else "no")
    assert "baseline" in rows["supervised"]


def test_a_row_beside_a_long_name_is_a_line(tmp_path):
    spec = RunSpec(methods={"supervised": 0.0, "supervised_strong": 0.4}, labelled=(3,), patients=6, history_steps=2)
    table = summary_text(board_of(write_records(tmp_path / "s", spec))).split("3 labelled patients, 3 runs each")[1]
    (row,) = (line for line in table.splitlines() if "supervised_strong" in line)
    assert ("]" in row, len(row) <= 80) == (True, True)
