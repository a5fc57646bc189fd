import json

from tests.cli.ground import refuse

NAMED = ("0.1.0",)


def last_line(stderr):
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def old_records(root):
    """A suite's folder as the first version left it."""
    folder = root / "tiny"
    (folder / "suites").mkdir(parents=True)
    (folder / "suites" / f"{'a' * 64}.yaml").write_text("name: tiny\n")
    (folder / "units" / ("b" * 64)).mkdir(parents=True)
    (folder / "units" / ("b" * 64) / "unit.json").write_text(json.dumps({"schema_version": 1}))
    return folder


def test_a_folder_of_records(tmp_path):
    folder = old_records(tmp_path)
    said = refuse("status", folder, code=65, named=(*NAMED, str(folder)), unchanged=tmp_path)
    assert "units/" in last_line(said)
