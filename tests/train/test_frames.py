from pathlib import Path

import pytest

from tests.support import REPO, run_cli
from tests.train.fixtures import MakeTiny

MOST_FRAMES = 11
"""Of ours, below harness/ and methods/, the method's own loss included."""


@pytest.mark.slow
def test_at_most_eleven_frames_of_ours_lie_between_command_line_and_loss(make_tiny: MakeTiny, tmp_path: Path):
    tiny = make_tiny({"tiny_traced": {}}, budget={"steps": 4})
    trace = tmp_path / "trace.txt"
    environment = {**tiny.environment, "TINY_TRACE": str(trace)}
    options = ("--suite", tiny.suite, "--runs", tiny.runs, "--executor", "inline", "--no-track")
    done = run_cli("run", *options, env=environment, cwd=tiny.root)
    assert done.returncode == 0, done.stderr
    last_step = trace.read_text(encoding="utf-8").split("\n\n")[-2]  # the first steps only warm up
    stack = [line.split("\t") for line in last_step.splitlines()]
    rooms = (f"{REPO / 'harness'}/", f"{REPO / 'methods'}/")
    ours = [(file.removeprefix(f"{REPO}/"), function) for file, function in stack if file.startswith(rooms)]
    ours.append(("the method", stack[-1][1]))  # a plug-in here, else a file below methods/
    print(*(f"{number} {file} {function}" for number, (file, function) in enumerate(ours, start=1)), sep="\n")
    assert ours[0] == ("harness/__main__.py", "<module>")
    assert ("harness/train/trainer.py", "train") in ours
    assert len(ours) <= MOST_FRAMES, ours
