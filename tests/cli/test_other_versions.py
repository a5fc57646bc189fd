import io
import json
import tarfile

from tests.cli.ground import refuse, write_suite

NAMED = ("0.1.0",)


def last_line(stderr):
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def test_a_suite(tmp_path):
    suite = write_suite(tmp_path, ("validations: 2", "looks: 2"))
    said = refuse("plan", "--suite", suite, code=64, named=(*NAMED, "validations", f"{suite}:10"), unchanged=tmp_path)
    assert "which reads it" in last_line(said)


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


def test_an_archive(tmp_path):
    archive = tmp_path / "records.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for name in (f"tiny/units/{'b' * 64}/unit.json", f"tiny/suites/{'a' * 64}.yaml"):
            content = b"{}"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    refuse("import", archive, "--runs", "there", code=65, named=(*NAMED, str(archive)), unchanged=tmp_path)
