"""leaderboard/figures: the stored pictures of whatever method, under the names of the runs."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from harness.records.reader import SuiteRecords
from harness.report.figures import write_figures
from tests.synthetic import RunSpec, picture, write_run

SPEC = RunSpec(
    methods={"somebody_elses": 0.3, "ua_mt": 0.1},
    labelled=(3,),
    patients=2,
    history_steps=2,
    centers=frozenset({"somebody_elses"}),
    failed=frozenset({("somebody_elses", 3, 0, 1)}),
    missing=frozenset({("somebody_elses", 3, 0, 2)}),
)


@pytest.fixture
def records(tmp_path: Path) -> SuiteRecords:
    return SuiteRecords(write_run(tmp_path / "suite", SPEC))


def test_each_figure_is_copied_and_those_of_an_earlier_selection_go(records: SuiteRecords) -> None:
    (path,) = write_figures(records)
    assert path == records.root / "leaderboard" / "figures" / "somebody_elses-3-0-0-centers.png"
    assert path.read_bytes() == picture("centres of somebody_elses/3/0/0")
    path.with_name("action_pp-9-0-0-centers.png").write_bytes(b"of an earlier selection")
    assert write_figures(records) == (path,)
    assert list(path.parent.iterdir()) == [path]


def test_a_suite_whose_methods_draw_nothing_gets_no_folder(tmp_path: Path) -> None:
    spec = RunSpec(methods={"ua_mt": 0.1}, labelled=(3,), seeds=1, patients=2)
    records = SuiteRecords(write_run(tmp_path / "suite", spec))
    assert write_figures(records) == ()
    assert not (records.root / "leaderboard").exists()


def test_a_damaged_figure_is_left_out_with_a_warning(records: SuiteRecords, caplog: pytest.LogCaptureFixture) -> None:
    (path,) = write_figures(records)
    (stored,) = records.root.glob("units/*/figures/*.png")
    stored.write_bytes(b"<script>")
    with caplog.at_level(logging.WARNING):
        assert write_figures(records) == ()
    assert f"{stored}: not a figure of a run" in caplog.text
    assert not path.exists()
