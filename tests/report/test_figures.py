import logging
from dataclasses import replace

import pytest

from harness.records.reader import SuiteRecords
from harness.records.run_folder import RunFolder
from harness.report.figures import Gallery, copy_figures
from harness.report.page import write_page
from tests.synthetic import RunSpec, board_of, picture, write_checksums, write_records

SPEC = RunSpec(
    methods={"somebody_elses": 0.3, "ua_mt": 0.1},
    labelled=(3,),
    patients=2,
    history_steps=2,
    centers={"somebody_elses"},
    failed={("somebody_elses", 3, 0, 1)},
    missing={("somebody_elses", 3, 0, 2)},
)


@pytest.fixture
def records(tmp_path):
    return SuiteRecords(write_records(tmp_path / "suite", SPEC))


def test_each_figure_is_copied_and_those_of_an_earlier_selection_go(records):
    (path,) = copy_figures(records).files
    assert path == records.root / "leaderboard" / "figures" / "somebody_elses-3-0-0-centers.png"
    assert path.read_bytes() == picture("centres of somebody_elses/3/0/0")
    path.with_name("action_pp-9-0-0-centers.png").write_bytes(b"of an earlier selection")
    assert copy_figures(records).files == (path,)
    assert list(path.parent.iterdir()) == [path]


def test_the_figures_of_a_ladder_say_their_rung(tmp_path):
    spec = replace(SPEC, ladder=(500, 2000), seeds=1, failed=())
    gallery = copy_figures(SuiteRecords(write_records(tmp_path / "suite", spec)))
    assert [caption.partition(":")[0] for caption, _ in gallery.pictures] == [
        f"somebody_elses 3-labelled subset 0 seed 0, {rung} reference steps" for rung in spec.ladder
    ]


def test_a_damaged_figure_is_left_out_with_a_warning(records, caplog):
    (path,) = copy_figures(records).files
    (stored,) = records.root.glob("runs/*/figures/*.png")
    stored.write_bytes(b"<script>")
    with caplog.at_level(logging.WARNING):
        assert copy_figures(records) == Gallery((), ())
    assert f"{stored}: not a figure of a run" in caplog.text
    assert not path.exists()


def test_a_caption_stays_text(records):
    (stored,) = records.root.glob("runs/*/figures/*.png")
    stored.write_bytes(picture('"><script>alert(1)</script>'))
    write_checksums(RunFolder(stored.parent.parent))
    html = write_page(records, board_of(records.store)).read_text()
    assert "<script>alert" not in html
    assert "&lt;script&gt;alert(1)" in html
