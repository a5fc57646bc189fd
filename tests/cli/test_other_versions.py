"""A record of the first version is refused in one line that names it, and nothing is touched."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.ground import refuse

NAMED = ("0.1.0",)


def last_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def test_a_single_record(tmp_path: Path) -> None:
    folder = tmp_path / "tiny"
    (folder / "suites").mkdir(parents=True)
    (folder / "runs").mkdir()
    (folder / "selection.json").write_text(json.dumps({"schema_version": 1, "suite_hash": "c", "entries": []}))
    said = refuse("leaderboard", folder, code=65, named=(*NAMED, "selection.json"), unchanged=tmp_path)
    assert "schema_version 1" in last_line(said)
