import re
import shlex
import shutil

import pytest

from tests.data.raw_format import write_folder
from tests.support import REPO, call_cli

PAGE = (REPO / "docs/how-to/own-scans.md").read_text()
COMMANDS = re.findall(r"^    harness (.*)$", PAGE, flags=re.MULTILINE)
SMALLER = {
    "size: [96, 112, 96]": "size: [16, 16], resize: area",
    "subsets: [0, 1, 2]": "subsets: [0]",
    "reference_steps: 2000": "steps: 5",
    "validations: 4": "validations: 1",
}
"""What the test changes in the page's suite."""

TEN = [f"p{number:02}" for number in range(10)]


@pytest.mark.slow
def test_the_way_of_the_how_to(tmp_path):
    cases = {"Tr": TEN, "Un": ["u1", "u2"]}
    raw = write_folder(tmp_path / "Dataset501_Atria", cases, ("T1", "CT"), lambda _: (1.0, 1.0, 5.0))
    shutil.copytree(raw / "imagesUn", tmp_path / "new_scans")
    suite = PAGE.partition("```yaml\n")[2].partition("```")[0]
    for text, smaller in SMALLER.items():
        assert text in suite
        suite = suite.replace(text, smaller)
    (tmp_path / "atria.yaml").write_text(suite)

    def call(line, code=0):
        env = {"HARNESS_CACHE": str(tmp_path / "cache"), "HARNESS_DATA": None}
        done = call_cli(*shlex.split(line), cwd=tmp_path, env=env, code=code)
        return done.stdout + done.stderr

    assert "unknown dataset 'atria'" in call("plan --suite atria.yaml", 64)
    verbs = [line.partition(" ")[0] for line in COMMANDS]
    assert verbs == ["data", "plan", "run", "leaderboard", "audit", "predict"]
    prepare, plan, run, leaderboard, audit, predict = COMMANDS
    said = call(prepare)
    assert "dataset: {prepared: atria}" in said
    assert "2 of 9 training patients have no labels" in said
    assert re.search(r"atria +1 +2D +wall pool +9 / 1 / 2 +prepared", call("data list"))
    assert re.search(r"all +5 +5 ", call(plan))
    assert "2 test patients of atria" in call(f"{run} --executor inline --no-track")
    assert "training patients have no labels" in call(leaderboard)
    assert "training patients have no labels" in (tmp_path / "runs/atria/leaderboard/index.html").read_text()
    call(audit)  # 7 labels are all that there are: that run is the reference by another name
    call(predict)
    assert {path.name for path in (tmp_path / "predicted").glob("*.nii.gz")} == {"u1.nii.gz", "u2.nii.gz"}
    (tmp_path / "atria.yaml").write_text(suite.replace("[4, 7]", "[8]"))
    assert "labelled.0: 8 labelled patients: atria has labels of 7 training" in call(plan, 64)
    assert "--patient and --seed are for nnU-Net's format" in call(f"data prepare acdc --from {raw} --seed 1", 64)
    (tmp_path / "cache").rename(tmp_path / "elsewhere")
    assert "the split lists of atria v1 are not known here" in call(audit)
    assert "2 test patients of atria" in call(leaderboard)
