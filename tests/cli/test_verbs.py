import json
from pathlib import Path

import pytest

from harness.api.errors import RunFailedError
from harness.records.reader import SuiteRecords
from harness.records.schema import PlannedRun
from harness.records.suite_folder import SuiteFolder
from tests.cli.ground import DEAD_URI, SUPERVISED, linked_copy, refuse, snapshot
from tests.services import require_mlflow
from tests.support import call_cli, environment_of, run_cli
from tests.synthetic import RunSpec, edit_record, ledger_line, write_records
from tests.train.tiny import write_suite


def test_a_dead_tracker_is_a_warning_and_tracking_later_works(finished, tmp_path):
    require_mlflow()
    assert finished.code == 0, finished.stderr
    assert f"warning: cannot track to {DEAD_URI}" in finished.stderr
    assert "harness track runs/tiny" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert "tiny: " in finished.stdout

    track = ("track", finished.runs / "tiny", "--tracking-uri")
    refuse(*track, DEAD_URI, code=69, named=(DEAD_URI, "The records are safe"), unchanged=tmp_path)
    later = call_cli(*track, f"sqlite:///{tmp_path}/later.db", cwd=tmp_path)
    assert "tracked 2 runs" in later.stderr


def test_plan_counts_what_is_done_and_writes_nothing(finished, session_cache, records, tmp_path):
    cache = next(session_cache.glob("phantom-*"))
    linked_copy(cache, tmp_path / "caches" / cache.name)
    before = snapshot(tmp_path)
    env = {"HARNESS_CACHE": str(tmp_path / "caches")}
    done = call_cli("plan", "--suite", finished.suite, cwd=tmp_path, env=env)
    assert records == tmp_path / "runs"
    assert snapshot(tmp_path) == before
    rows = [line.split() for line in done.stdout.splitlines()]
    assert rows[0][:6] == ["entry", "labelled", "subsets", "seeds", "runs", "done"]
    assert rows[1] == ["supervised", "2", "0", "0", "1", "1", "4", "steps", "0.00", "29"]
    assert rows[3][:4] == ["all", "2", "2", "0.00"]
    assert "(measured on 2 runs); `harness clean runs/tiny --yes` deletes" in done.stderr
    assert "wall time to go: none\n" in done.stderr


def test_plan_says_how_to_prepare_the_data_that_it_was_given(tmp_path):
    patient = tmp_path / "my scans" / "patient001"
    patient.mkdir(parents=True)
    (patient / "Info.cfg").touch()
    suite = write_suite(
        tmp_path, {"supervised": {}}, dataset="acdc", preprocessing={"size": [32, 32], "resize": "area"}
    )
    done = call_cli("plan", "--suite", suite, "--data", patient.parent, env={"HARNESS_CACHE": str(tmp_path)})
    assert f"`harness data prepare acdc --from '{patient.parent}'` does it" in done.stderr


def test_status_needs_neither_data_nor_the_suite_file(tmp_path):
    spec = RunSpec(
        failed={("ua_mt", 3, 0, 1)},
        missing={("mc_net", 7, 0, 2)},
        interrupted={("supervised", 3, 0, 0)},
    )
    store = write_records(tmp_path / "synthetic", spec)
    running = store.by_id(spec.run(PlannedRun(entry="supervised_full", labelled=None, subset=0, seed=0)).id)
    running.reopen()
    running.lease.claim()
    killed = store.by_id(spec.run(PlannedRun(entry="mc_net", labelled=7, subset=0, seed=1)).id)
    killed.reopen()
    killed.ledger.path.unlink()
    for kind, seconds in (("start", 0), ("checkpoint", 30), ("heartbeat", 45)):
        killed.ledger.append(ledger_line(kind, device_seconds=seconds, steps=5 * seconds))
    before = snapshot(tmp_path)
    done = call_cli("status", tmp_path / "synthetic")
    assert snapshot(tmp_path) == before
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "failed" in lines["ua_mt/3/0/1"]
    assert "nan: loss became NaN at step 17" in lines["ua_mt/3/0/1"]
    assert lines["mc_net/7/0/2"].split()[1:4] == ["to", "run", "0.0%"]
    assert lines["supervised/3/0/0"].split()[1:7] == ["done", "99.9%", "1498", "299.7", "30.0", "2"]
    assert lines["mc_net/7/0/1"].split()[1:7] == ["interrupted", "10.0%", "150", "30.0", "15.0", "1"], "as it goes on"
    assert "running" in lines["supervised_full/all/0/0"]
    assert "heartbeat" in lines["supervised_full/all/0/0"]
    assert "21 runs, 17 done, 1 failed, 1 running, 1 interrupted, 1 to run; 45.0 device-seconds lost" in done.stderr


def test_a_terminal_of_few_characters_shows_other_ones(records):
    settings = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    run_cli("leaderboard", records / "tiny", env=settings, encoding="latin-1")


def test_replay_gives_the_same_weights(finished):
    same = call_cli("replay", finished.runs / "tiny", SUPERVISED)
    recorded, replayed = (line.split()[1] for line in same.stdout.splitlines())
    assert recorded == replayed
    assert "bitwise equal" in same.stderr


def test_replay_says_what_is_different_where_weights_are(records):
    from harness.train.replay import check_replay
    from harness.train.stop import StopFlag

    store = SuiteFolder.open(records / "tiny")
    folder = next(folder for folder in store.folders() if folder.run.method == "supervised")
    path, other = folder.path / "result.json", "0" * 64
    trained = json.loads(path.read_text())["weights_sha256"]
    environment = environment_of(folder)
    assert environment is not None
    elsewhere = folder.write_environment(environment.model_copy(update={"device_model": "Abacus 3000"}))
    changes = {"weights_sha256": other, "environment": elsewhere}
    edit_record(path, lambda raw: raw.update(changes))
    before = snapshot(records)
    replayed = check_replay(SuiteRecords(store).run(folder.id), None, StopFlag())
    assert (replayed.recorded, replayed.replayed) == (other, trained)
    with pytest.raises(RunFailedError, match="device_model: Abacus 3000 then"):
        replayed.check()
    assert snapshot(records) == before


def test_clean_shows_first_and_keeps_every_record(records):
    folder = next(SuiteFolder.open(records / "tiny").folders())
    (folder.path / ".checkpoint.pt.abc").write_bytes(b"torn")
    before = snapshot(records)
    clean = ("clean", records / "tiny")
    shown = call_cli(*clean)
    assert "would delete 3 files" in shown.stderr
    assert snapshot(records) == before
    call_cli(*clean, "--yes")
    gone = before.keys() - snapshot(records).keys()
    assert {Path(name).name for name in gone} == {"checkpoint.pt", ".checkpoint.pt.abc"}
    assert len(gone) == 3
    assert before.items() >= snapshot(records).items()
    call_cli(*clean, "--weights", "--yes")
    gone = before.keys() - snapshot(records).keys()
    assert sum(name.endswith("/weights.pt") for name in gone) == 2
    assert len(gone) == 5
    call_cli("verify", records)


def test_clean_keeps_what_can_go_on(tmp_path):
    failed, stopped = ("ua_mt", 3, 0, 1), ("mc_net", 7, 0, 2)
    store = write_records(tmp_path / "synthetic", RunSpec(failed={failed}))
    for folder in store.folders():
        folder.checkpoint.write_bytes(b"weights")
        run = folder.run
        if (run.method, run.labelled, run.subset, run.seed) == stopped:
            folder.reopen()
    call_cli("clean", tmp_path / "synthetic", "--yes")
    kept = {folder.run.method for folder in store.folders() if folder.checkpoint.exists()}
    assert kept == {"ua_mt", "mc_net"}
    assert sum(folder.checkpoint.exists() for folder in store.folders()) == 2
