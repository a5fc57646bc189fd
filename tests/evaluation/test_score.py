import shutil
from concurrent.futures import ThreadPoolExecutor

import h5py
import nibabel
import numpy as np
import pytest

from harness.api.errors import ClosedSplitError, DataError, RecordError
from harness.data.cache import TEST
from harness.data.label_maps import read_label_maps
from harness.data.permit import ScoringPermit
from harness.data.prepare import resolve
from harness.leaderboard.render import markdown
from harness.pipeline import score_predictions
from harness.records.archive import export_records, import_records
from harness.records.reader import SuiteRecords
from harness.records.scored import ScoredFolder, Use, count_final_runs, find_scored_flaws
from harness.records.suite_folder import SuiteFolder
from harness.report.page import write_page
from harness.suite.registry import load_dataset
from tests.cli.ground import repack
from tests.synthetic import RunSpec, board_of, write_records

FEW = RunSpec(
    labelled=(3,), seeds=1, patients=6, validations=2, history_steps=2, failed=frozenset({("ua_mt", 3, 0, 0)})
)


@pytest.fixture
def cache():
    return resolve(load_dataset("phantom"), None)


@pytest.fixture
def truth(cache):
    with h5py.File(cache.folder / TEST) as file:
        return {case.id: file[case.id]["label"][()] for case in cache.manifest.of("test")}


def write(folder, labels, spacing=(1.5, 1.5, 10.0)):
    """As NIfTI, [X, Y, Z] on disk."""
    folder.mkdir(exist_ok=True)
    for case, values in labels.items():
        image = nibabel.Nifti1Image(values.transpose().astype(np.float32), np.diag([*spacing, 1.0]))
        nibabel.save(image, folder / f"{case}.nii.gz")
    return folder


def shifted(labels):
    return {case: np.roll(values, 2, axis=2) for case, values in labels.items()}


def score(folder, runs, name="theirs"):
    return score_predictions(folder, dataset="phantom", name=name, runs=runs)


def test_each_use_has_a_number_in_which_final_runs_count(truth, tmp_path):
    runs = tmp_path / "runs"
    write_records(runs / "mini", FEW)
    finals = len(FEW.planned_runs) - len(FEW.failed)
    assert count_final_runs(runs, "phantom") == finals
    assert count_final_runs(runs, "acdc") == 0
    shutil.copytree(runs / "mini", runs / "reuses")
    assert count_final_runs(runs, "phantom") == finals, "a run that was taken over opened the split once"
    folder = write(tmp_path / "theirs", truth)
    for number in (1, 2):
        score(folder, runs)
        assert [use.number for use in ScoredFolder(runs, "phantom").uses()] == [finals + 1, finals + 2][:number]
    mirrored = write(tmp_path / "mirrored", {case: values[:, ::-1] for case, values in truth.items()})
    with pytest.raises(DataError, match="lie mirrored along y"):
        score(mirrored, runs)
    scored = ScoredFolder(runs, "phantom")
    assert [use.scoring for use in scored.uses()] == [1, 2, 3], "the split was opened, whatever came of it"
    assert [score.use.scoring for score, _ in scored.scores()] == [1, 2]
    assert list(find_scored_flaws(runs)) == []
    lines = scored.log.path.read_bytes().splitlines(keepends=True)
    scored.log.path.write_bytes(b"".join(lines[1:]))
    with pytest.raises(RecordError, match="lines are missing"):
        scored.uses()
    (flaw,) = find_scored_flaws(runs)
    assert str(scored.log.path) in flaw
    scored.log.path.write_bytes(b"".join(lines))
    table = scored.path / "2" / "cases.parquet"
    table.write_bytes(table.read_bytes()[:-1])
    (flaw,) = find_scored_flaws(runs)
    assert str(table.parent) in flaw


def test_the_split_opens_only_for_a_use_on_record(cache, tmp_path):
    recorded = ScoredFolder(tmp_path, "phantom")
    with ThreadPoolExecutor(4) as at_once:
        uses = list(at_once.map(lambda name: recorded.record_use(name, "", cache.reference, "0" * 64), "abcd"))
    assert sorted(use.number for use in uses) == [1, 2, 3, 4]
    use = uses[0]
    assert len(list(cache.test_cases(ScoringPermit(recorded, use)))) == len(cache.manifest.of("test"))
    other = Use.model_validate(use.model_dump() | {"name": "another"})
    with pytest.raises(ClosedSplitError, match="does not name this use"):
        cache.test_cases(ScoringPermit(recorded, other))


def test_boards_on_the_same_data_show_it_apart(cache, truth, tmp_path):
    runs = tmp_path / "runs"
    same = write_records(runs / "same", RunSpec(**{**vars(FEW), "checksum": cache.manifest.checksum}))
    others = write_records(runs / "others", FEW)
    for name, labels in (("worse_|<b>", shifted(truth)), ("exact", truth), ("exact", truth)):
        score(write(tmp_path / "theirs", labels), runs, name)
    board, without = board_of(same), board_of(others)
    assert without.scored.empty
    ranked = ["entry", "block", "rank", "rank_worst", "dice", "dice_low"]
    assert board.results[ranked].equals(without.results[ranked])
    assert board.scored[["name", "times_scored"]].to_numpy().tolist() == [["exact", 2], ["worse_|<b>", 1]]
    finals = count_final_runs(runs, "phantom")
    assert board.scored["test_use"].tolist() == [finals + 3, finals + 1]
    assert board.scored[["dice", "dice_low", "n_missed"]].to_numpy()[0].tolist() == [1, 1, 0]
    assert "worse_\\|&lt;b>" in markdown(board)
    assert "worse_|&lt;b&gt;" in write_page(SuiteRecords(same), board).read_text()


def test_scores_and_the_count_of_uses_travel_with_an_export(cache, truth, tmp_path):
    """From one to another, who scores too and sends both back: no use is lost, counted twice or renumbered."""
    here, there, spec = tmp_path / "here", tmp_path / "there", {**vars(FEW), "checksum": cache.manifest.checksum}
    mine = SuiteRecords(write_records(here / "mini", RunSpec(**spec)))
    finals, labels = count_final_runs(here, "phantom"), write(tmp_path / "theirs", truth)
    score(labels, here, "first")
    with pytest.raises(DataError, match="mirrored"):
        score(write(tmp_path / "mirrored", {case: values[:, ::-1] for case, values in truth.items()}), here, "second")
    export_records([mine], tmp_path / "mine.tar.gz")
    imported = SuiteRecords(SuiteFolder(import_records(tmp_path / "mine.tar.gz", there)[0].root))
    score(labels, there, "third")
    board = board_of(imported.store).scored.set_index("name")
    assert board["test_use"].to_dict() == {"first": finals + 1, "third": finals + 3}
    assert board["imported"].to_dict() == {"first": True, "third": False}
    assert (board["test_uses"] == finals + 3).all()
    assert board.loc["first", "dice"] == board_of(mine.store).scored["dice"].item()
    export_records([imported], tmp_path / "both.tar.gz")
    for added in (3, 0):
        assert import_records(tmp_path / "both.tar.gz", here)[0].added == added, (
            "the third's log, score and cases alone"
        )
    assert [len(log.uses()) for log in ScoredFolder(here, "phantom").logs()] == [2, 1]
    score(labels, here, "fourth")
    export_records([mine], tmp_path / "later.tar.gz")
    import_records(tmp_path / "later.tar.gz", there)
    assert ScoredFolder(there, "phantom").logs()[1].uses()[-1].number == finals + 4
    uses = ScoredFolder(here, "phantom").log.path
    uses.write_bytes(b"".join(uses.read_bytes().splitlines(keepends=True)[1:]))
    with pytest.raises(RecordError, match="lines are missing"):
        export_records([mine], tmp_path / "cut.tar.gz")


def _broken(change):
    def make(folder, truth):
        first = next(iter(truth))
        write(folder, {**truth, first: change(truth[first])})

    return make


BAD = {
    "missing cases": (lambda folder, truth: write(folder, dict(list(truth.items())[8:])), r"for 8 of \d+ test cases"),
    "cropped": (_broken(lambda values: values[:, 4:, :]), "voxels where the scan of"),
    "other voxels": (lambda folder, truth: write(folder, truth, (3.0, 1.5, 10.0)), "voxels of 10 x 1.5 x 3 mm where"),
    "out of range": (_broken(lambda values: values * np.uint8(85)), "holds 85, 170, 255; write the number"),
}


@pytest.mark.parametrize("flaw", BAD)
def test_what_cannot_be_scored_is_refused_before_the_split_opens(flaw, truth, tmp_path):
    make, message = BAD[flaw]
    make(tmp_path / "theirs", truth)
    with pytest.raises(DataError, match=message):
        score(tmp_path / "theirs", tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_whole_scan_where_cases_are_cut_out_of_theirs_is_told_so(cache, truth, tmp_path):
    whole = {case: np.pad(values, ((0, 0), (2, 2), (0, 1))) for case, values in truth.items()}
    folder = write(tmp_path / "theirs", whole)
    cut = cache.manifest.model_copy(update={"track": "label_free"})
    with pytest.raises(DataError, match=r"cut out of its scan \(label_free\), has .*; cut the label map likewise"):
        read_label_maps(folder, cut, 2)
    with pytest.raises(DataError, match="bring it back to the scan's own grid"):
        read_label_maps(folder, cache.manifest, 2)


@pytest.mark.parametrize("ending", ["uses.jsonl", "2/cases.parquet"])
def test_scores_that_were_changed_on_the_way_are_refused(ending, truth, tmp_path):
    suite = SuiteRecords(write_records(tmp_path / "runs" / "mini", FEW))
    for _ in range(2):
        score(write(tmp_path / "theirs", truth), tmp_path / "runs")
    export_records([suite], tmp_path / "records.tar.gz")

    def change(member, content):
        changed = content.replace(b"theirs", b"thairs", 1) if ending == "uses.jsonl" else content[:-1]
        return changed if "/scored/" in member.name and member.name.endswith(ending) else content

    repack(tmp_path / "records.tar.gz", change)
    with pytest.raises(RecordError, match=r"uses\.jsonl"):
        import_records(tmp_path / "records.tar.gz", tmp_path / "there")
    assert not (tmp_path / "there").exists()
