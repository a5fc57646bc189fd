import json
import os
from pathlib import Path

from tests.bench.startup_bench import RunTimes, run_times


def test_times_come_from_the_ledger_and_the_date_of_the_result(tmp_path: Path):
    for run, start, ended in (("b", "2026-11-02T10:00:05+00:00", 10.0), ("a", "2026-11-02T10:00:01+00:00", 3.0)):
        folder = tmp_path / "runs" / run
        folder.mkdir(parents=True)
        lines = [
            {"kind": "begin", "at": "2026-11-02T10:00:00+00:00", "device_seconds": 0.0},
            {"kind": "start", "at": start, "device_seconds": 0.0},
            {"kind": "end", "at": "2026-11-02T11:00:00+00:00", "device_seconds": 0.25},
        ]
        (folder / "ledger.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
        (folder / "result.json").touch()
        os.utime(folder / "result.json", (0.0, ended))
    (tmp_path / "runs" / "unfinished").mkdir()
    began = 1793613600.0  # 2026-11-02T10:00:00Z
    assert run_times(tmp_path) == [RunTimes(began + 1.0, 3.0, 0.25), RunTimes(began + 5.0, 10.0, 0.25)]
