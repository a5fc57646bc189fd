from harness.records.suite_folder import SuiteFolder
from tests.cli.ground import refuse, remount, small_disk, write_suite
from tests.support import call_cli

RUN = ("run", "--executor", "inline", "--no-track", "--suite")
ONE_METHOD = ("  ua_mt:\n", "")


def test_a_directory_of_another_program(tmp_path):
    (tmp_path / "runs" / "tiny").mkdir(parents=True)
    (tmp_path / "runs" / "tiny" / "thesis.tex").write_text("ours")
    suite = write_suite(tmp_path)
    refuse(*RUN, suite, code=74, named=("runs/tiny", "another program"), unchanged=tmp_path)


def test_a_disk_that_fills_up_in_the_middle(tmp_path):
    """Room for one checkpoint (22 MB) and not for the next beside it."""
    suite = write_suite(tmp_path, ONE_METHOD)
    with small_disk(tmp_path / "disk", "size=34m") as disk:
        run = (*RUN, suite, "--runs", disk)
        full = call_cli(*run, cwd=tmp_path, code=74)
        folder = next(SuiteFolder.open(disk / "tiny").folders())
        assert f"cannot write {folder.checkpoint}: No space left on device" in full.stderr
        assert folder.result() is None
        assert folder.checkpoint.exists()
        assert folder.ledger.spent().useful_steps == 4
        assert list(disk.rglob(".*")) == []

        remount(disk, "size=200m")
        call_cli(*run, cwd=tmp_path)
        result = folder.require_result()
        assert (result.status, result.spent.useful_steps, result.spent.lost_steps) == ("ok", 4, 2)


def test_a_file_in_place_of_the_run_directory(tmp_path):
    (tmp_path / "runs").write_text("a file")
    refuse(*RUN, write_suite(tmp_path), code=74, named=("runs is a file",), unchanged=tmp_path)
