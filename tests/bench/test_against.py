import json

import pytest

from tests.bench.against import Tree, measured_lines, options
from tests.bench.trees import environment_of

ALONE = """
import json, pathlib, sys
with (pathlib.Path.cwd().parent / "calls").open("a") as calls:
    calls.write(f"{pathlib.Path.cwd().name} {' '.join(sys.argv[1:])}\\n")
print("words before")
print(json.dumps({"seconds": SECONDS}))
"""
WORKLOAD = "def entries(size, batch, device): return dict.fromkeys(STAGES)"


def plant(folder, seconds, stages):
    """A tree that can measure these stages and says that a step takes so long."""
    bench = folder / "tests" / "bench"
    bench.mkdir(parents=True)
    for package in ("harness", "methods", "benchmarks", "tests", "tests/bench"):
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    (bench / "alone.py").write_text(ALONE.replace("SECONDS", str(seconds)))
    (bench / "workload.py").write_text(WORKLOAD.replace("STAGES", json.dumps(stages)))
    return Tree(folder, environment_of(folder), ("--size", "96", "96"))


@pytest.mark.slow
def test_trees_take_turns_and_the_ratio_says_how_much_faster_the_second_one_is(tmp_path):
    old, new = plant(tmp_path / "old", 0.3, ["a/train", "b/train"]), plant(tmp_path / "new", 0.2, ["b/train"])
    asked = options().parse_args(["--against", "old", "--precision", "float32", "bfloat16"])

    lines = list(measured_lines(old, new, new.stages(2), asked))

    calls = (tmp_path / "calls").read_text().splitlines()
    b_train = "b/train --size 96 96 --precision"
    turn = [f"old {b_train} float32", f"new {b_train} float32", f"new {b_train} bfloat16"]
    assert calls == [*turn, *reversed(turn)]
    assert [" ".join(shown.split()[:2]) for shown in lines] == ["b/train float32", "b/train bfloat16"]
    assert all("0.3000 s ->   0.2000 s   1.50 times as fast (1.50 to 1.50)" in shown for shown in lines)


@pytest.mark.slow
def test_a_tree_whose_code_the_interpreter_does_not_take_is_refused(tmp_path):
    with pytest.raises(RuntimeError, match="takes other code"):
        environment_of(tmp_path)
