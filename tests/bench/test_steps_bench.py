"""Seconds of steps, of every method and stage side by side and of one alone."""

from __future__ import annotations

import json

import pytest

from tests.bench import alone
from tests.bench.steps_bench import main
from tests.train.fixtures import one_thread

__all__ = ["one_thread"]


@pytest.mark.slow
@pytest.mark.parametrize(("dimension", "size"), [("2", ["32"]), ("3", ["32", "16", "16"])])
def test_the_table_names_every_method_and_stage(
    dimension: str, size: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    few = ["--batch", "4", "--steps", "1", "--precision", "float32"]
    assert main(["--dimension", dimension, "--size", *size, *few]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = [line.split()[0] for line in lines if "x supervised" in line]
    assert {f"{m}/{s}" for m in ("action", "action_pp") for s in ("global", "local", "anatomical")} <= set(named)
    assert {"supervised/train", "ua_mt/train", "mc_net/train"} <= set(named)
    assert "1.00 x supervised" in next(line for line in lines if "supervised/train" in line)


def test_a_size_of_another_dimension_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"--size 48 48 16 has not 2 sides"):
        main(["--size", "48", "48", "16"])


@pytest.mark.slow
def test_one_stage_alone_tells_its_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert alone.main(["supervised/train", "--size", "16", "16", "16", "--batch", "2", "--warm-up", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["seconds"] > 0
