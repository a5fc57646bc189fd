import io
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest

from harness.records.archive import export_records, import_records
from harness.records.files import write_record
from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.report.collection import collect
from tests.support import REPO, call_cli
from tests.synthetic import RunSpec, write_checksums, write_records

SHIPPED = REPO / "benchmarks" / "results" / "records.tar.xz"
EVERYONE = ("supervised", "bcp", "unimatch", "supervised_full")


def contribute(repository, name, entries, change):
    """Some entries of the shipped records at 500 reference steps, seed 0, changed, as NAME's export."""
    root = repository.parent / "shipped" / "acdc_bench"
    if not root.exists():
        import_records(SHIPPED, root.parent)
    store = SuiteFolder(Path(shutil.copytree(root, repository.parent / name / "acdc_bench")))
    selection = store.selection()
    kept = [
        entry
        for entry in selection.entries
        if entry.planned_run.entry in entries and entry.planned_run.rung == 500 and entry.planned_run.seed == 0
    ]
    write_record(store.selection_path, selection.model_copy(update={"entries": kept}))
    for folder in store.folders():
        if folder.id not in {entry.run for entry in kept}:
            shutil.rmtree(folder.path)
    change(store)
    file = repository / "acdc_bench" / f"{name}.tar.xz"
    file.parent.mkdir(exist_ok=True)
    export_records([SuiteRecords(store)], file)
    return file


def better_bcp(store):
    (run,) = [entry.run for entry in store.selection().entries if entry.planned_run.entry == "bcp"]
    table = store.by_id(run).path / "cases.parquet"
    cases = pd.read_parquet(table)
    dice = cases["dice"].where(cases["dice"] == 0, 1 - 0.5 * (1 - cases["dice"]))  # the audit knows missed structures
    cases.assign(dice=dice).to_parquet(table, index=False)
    write_checksums(store.by_id(run))


def nothing(_store):
    """As shipped."""


def git(folder, *command):
    who = ("-c", "user.name=a", "-c", "user.email=a@b")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def sent(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sent") / "results"
    folder.mkdir()
    git(folder, "init", "-q")
    contribute(folder, "alice", EVERYONE, nothing)
    contribute(folder, "bob", ("supervised", "bcp", "mc_net", "supervised_full"), nothing)
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Results of two")
    return folder


@pytest.fixture
def repository(sent, tmp_path):
    shutil.copytree(sent.parent / "shipped" / "acdc_bench", tmp_path / "shipped" / "acdc_bench")
    return Path(shutil.copytree(sent, tmp_path / "results"))


def test_a_clone_is_ranked_together(repository, tmp_path):
    git(tmp_path, "clone", "-q", str(repository), "clone")
    call_cli("collect", "clone", "--to", "board.md", cwd=tmp_path)
    rows = pd.read_csv(tmp_path / "board.csv").set_index("entry")
    who = {"supervised": "alice, bob", "bcp": "alice, bob", "unimatch": "alice", "mc_net": "bob"}
    named = {entry: ", ".join(f"acdc_bench/{name}" for name in names.split(", ")) for entry, names in who.items()}
    assert rows["contributors"].to_dict() == named
    ((root, *_),) = import_records(repository / "acdc_bench" / "bob.tar.xz", tmp_path / "alone")
    call_cli("leaderboard", root)
    alone = pd.read_csv(root / "leaderboard" / "leaderboard.csv").query("checkpoint == 'last'").set_index("entry")
    both = rows.index.intersection(alone.index)
    assert set(both) == {"supervised", "bcp", "mc_net"}
    for column in ("dice", "dice_low", "dice_high", "n_patients"):
        pd.testing.assert_series_equal(rows.loc[both, column], alone.loc[both, column])
    assert rows["dice"].is_monotonic_decreasing
    text = (tmp_path / "board.md").read_text()
    assert "## acdc, 3 labelled patients, 500 reference steps a run" in text
    assert "| acdc_bench/alice | acdc_bench | 4 | whole | none |" in text


def test_no_export_and_no_suite_hides_another(tmp_path):
    stores = [write_records(tmp_path / "runs" / name, RunSpec(labelled=(3,), seeds=1, patients=3)) for name in "abc"]
    stores[1].selection_path.unlink()
    (tmp_path / "results").mkdir()
    for name in ("lab.tar.gz", "lab.tar.xz", "lab.try.tgz"):
        export_records(list(map(SuiteRecords, stores)), tmp_path / "results" / name)
    found = {each.name: each.flaw for each in collect(tmp_path / "results").contributions}
    assert [*found] == [f"{file} ({suite})" for file in ("lab.tar.gz", "lab.tar.xz", "lab.try") for suite in "abc"]
    assert [flaw.partition(" ")[0] for flaw in found.values()] == ["", "b/selection.json", ""] * 3


def test_what_is_damaged_unfair_or_contradicts_is_named_and_in_no_table(repository, tmp_path):
    folder = repository / "acdc_bench"
    contribute(repository, "carol", ("supervised", "bcp"), nothing)  # without the fully supervised reference
    done = call_cli("collect", repository, code=76)
    assert "acdc_bench/carol: not held: 29." in done.stderr
    assert "acdc_bench/carol |" not in done.stdout.partition("## ")[2]
    (folder / "carol.tar.xz").write_bytes((folder / "bob.tar.xz").read_bytes()[:5000])
    contribute(repository, "dave", EVERYONE, better_bcp)
    done = call_cli("collect", repository, code=65)
    assert "acdc_bench/carol: carol.tar.xz: cannot be read as an export" in done.stderr
    assert "warning: bcp, 3 labelled, run " in done.stderr
    assert "acdc_bench/alice and acdc_bench/dave differ (up to" in done.stderr
    assert "- **Differs:** bcp, 3 labelled, run " in done.stdout
    paired = call_cli("compare", folder / "alice.tar.xz", folder / "dave.tar.xz", "--format", "csv")
    assert "cells that differ: 1; equal in every score: 3" in paired.stderr
    (row,) = pd.read_csv(io.StringIO(paired.stdout)).to_dict("records")
    assert (row["entry"], row["verdict"]) == ("bcp", "significant")
    assert row["difference"] > 0
    empty = call_cli("collect", tmp_path / "carol" / "acdc_bench" / "suites", code=64)
    assert "no exports here" in empty.stderr
