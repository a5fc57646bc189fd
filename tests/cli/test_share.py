import re
import shutil
from dataclasses import replace

import numpy as np
import pytest

from harness.api.errors import RecordError
from harness.records.archive import export_records, import_records
from harness.records.checksums import sha256
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from tests.cli.ground import refuse, repack, snapshot
from tests.support import call_cli
from tests.synthetic import RunSpec, edit_record, key, write_checksums, write_records, write_tables

SMALL = RunSpec(
    methods={"supervised": 0.0, "ua_mt": 0.1, "mc_net": 0.3},
    labelled=(3,),
    seeds=2,
    patients=3,
    validations=1,
    history_steps=2,
)
SPEC = replace(
    SMALL,
    failed={("ua_mt", 3, 0, 1)},
    missing={("mc_net", 3, 0, 1)},
    centers={"mc_net"},
)
LABELS = {"patient001_ED": np.arange(24, dtype=np.uint8).reshape(2, 3, 4)}
WEIGHTS = ("checkpoint.pt", "lease", "log.txt", "error.txt")


@pytest.fixture
def store(tmp_path):
    store = write_records(tmp_path / "runs" / "synthetic", SPEC)
    for folder in store.folders():
        folder.write_predictions(LABELS)
        write_checksums(folder)
        for name in WEIGHTS:
            (folder.path / name).write_text("at home")
    return store


@pytest.fixture
def archive(store, tmp_path):
    export_records([SuiteRecords(store)], tmp_path / "records.tar.gz")
    return tmp_path / "records.tar.gz"


def test_the_leaderboard_of_imported_records_is_the_same(store, tmp_path):
    there = tmp_path / "elsewhere"
    file = tmp_path / "out.tar.gz"
    call_cli("export", store.root, "--to", file)
    call_cli("import", file, "--runs", there)
    table = call_cli("leaderboard", there / "synthetic", "--format", "csv")
    assert table.stdout == write_tables(store)[0].read_text()
    assert len(table.stdout.splitlines()) > 4
    names = {path.name for path in there.rglob("*")}
    for folder in SuiteFolder.open(there / "synthetic").folders():
        assert np.array_equal(folder.predictions()["patient001_ED"], LABELS["patient001_ED"])
    assert names.isdisjoint(WEIGHTS)
    assert [path.name for path in (there / "synthetic" / "leaderboard" / "figures").iterdir()] == [
        "mc_net-3-0-0-centers.png"
    ]


def test_tables_need_neither_history_nor_label_maps_nor_artifacts(store, archive, tmp_path):
    small, there = tmp_path / "small.tar.xz", tmp_path / "elsewhere"
    command = ("export", store.root, "--to", small)
    call_cli(*command, "--no-history", "--no-predictions", "--no-artifacts")
    assert small.stat().st_size < archive.stat().st_size
    imported = SuiteFolder(import_records(small, there)[0].root)
    assert write_tables(imported)[0].read_bytes() == write_tables(store)[0].read_bytes()
    written = {path.relative_to(store.root) for path in store.root.glob("runs/**/*.*")}
    left_out = {path for path in written if re.search(r"history|predictions|arrays|figures", str(path))}
    assert {path.name for path in left_out} >= {"predictions.npz", "arrays.npz", "centers.png"}
    assert not [path for path in left_out if (imported.root / path).exists()]
    assert import_records(archive, there)[0].added == len(left_out)
    assert all((imported.root / path).exists() for path in left_out)


def test_suites_travel_together(store, tmp_path):
    other, file, there = write_records(tmp_path / "runs" / "other", SMALL), tmp_path / "both.tar.xz", tmp_path / "there"
    call_cli("export", store.root, other.root, "--to", file, "--no-history")
    done = call_cli("verify", file)
    assert [f"{file}: {name}, " in done.stderr for name in ("synthetic", "other")] == [True, True]
    edit_record(other.selection_path, lambda raw: raw["entries"].pop())
    shutil.copytree(other.root, there / "other")
    differing = ("1 record(s) differ", "other/selection.json")
    refuse("import", file, "--runs", there, code=65, named=differing, unchanged=tmp_path)
    shutil.rmtree(there)
    call_cli("import", file, "--runs", there)
    for name in ("synthetic", "other"):
        ours = {run.id for run in SuiteRecords.open(tmp_path / "runs" / name).runs}
        assert {run.id for run in SuiteRecords.open(there / name).runs} == ours
    both = ("holds the suites other, synthetic; import it",)
    refuse("compare", file, store.root, code=64, named=both, unchanged=tmp_path)
    shutil.copytree(store.root, tmp_path / "again" / "synthetic")
    again = ("export", store.root, tmp_path / "again" / "synthetic", "--to", tmp_path / "again.tar.gz")
    refuse(*again, code=64, named=("synthetic: several",), unchanged=tmp_path)


def test_halves_of_a_suite_come_together(tmp_path):
    whole = write_records(tmp_path / "whole" / "synthetic", SMALL)
    for seed in (0, 1):
        others = {key(planned_run) for planned_run in SMALL.planned_runs if planned_run.seed != seed}
        half = write_records(tmp_path / f"half{seed}" / "synthetic", replace(SMALL, missing=others))
        export_records([SuiteRecords(half)], tmp_path / f"half{seed}.tar.gz")
        import_records(tmp_path / f"half{seed}.tar.gz", tmp_path / "there")
    together = snapshot(tmp_path / "there" / "synthetic")
    assert together == snapshot(whole.root)


def test_other_numbers_for_the_same_run_are_refused_and_named(archive, store, tmp_path):
    there = tmp_path / "there"
    shutil.copytree(store.root.parent, there)
    result = next(folder for folder in SuiteFolder(there / "synthetic").folders() if folder.done).path / "result.json"
    edit_record(result, lambda raw: raw.update(images_seen=1))
    refuse("import", archive, "--runs", there, code=65, named=("1 record(s) differ", str(result)), unchanged=tmp_path)


def test_a_damaged_table_and_a_truncated_file_are_refused(archive, tmp_path):
    whole = archive.read_bytes()
    archive.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordError, match="get the file again"):
        import_records(archive, tmp_path / "there")

    archive.write_bytes(whole)
    repack(archive, lambda member, content: content[:100] if member.name.endswith("cases.parquet") else content)
    with pytest.raises(RecordError, match=r"cases\.parquet: its checksum"):
        import_records(archive, tmp_path / "there")
    assert not (tmp_path / "there").exists()


SUITES = {
    "of another name": (lambda text: text.replace(b"steps: 4", b"steps: 5"), "is not the suite that its name says"),
    "exploding": (lambda text: b"a: &a [1, 2]\n" + b"b: [" + b"*a, " * 5000 + b"]\n", "more than 10,000 values"),
}


@pytest.mark.parametrize("suite", SUITES)
def test_a_suite_is_validated_like_ones_own(suite, finished, tmp_path):
    make, problem = SUITES[suite]
    archive = tmp_path / "records.tar.gz"
    export_records([SuiteRecords.open(finished.runs / "tiny")], archive)

    def change(member, content):
        if not member.name.endswith(".yaml"):
            return content
        text = make(content[: content.rindex(b"# sha256 of the lines above: ")])
        return text + f"# sha256 of the lines above: {sha256(text)}\n".encode()

    repack(archive, change)
    named = (str(archive), "suites/", problem, "nothing was imported")
    refuse("import", archive, "--runs", "there", code=65, named=named, unchanged=tmp_path)


def test_records_of_a_run_under_another_id_are_refused(archive, tmp_path):
    other = write_records(tmp_path / "other" / "synthetic", replace(SPEC, seeds=1))
    stranger = next(other.folders()).id

    def change(member, content):
        member.name = member.name.replace(stranger, "f" * 64)
        return content

    repack(archive, change)
    with pytest.raises(RecordError, match="f" * 10):
        import_records(archive, tmp_path / "there")
