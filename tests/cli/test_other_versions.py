import io
import json
import os
import tarfile
from pathlib import Path

from tests.cli.ground import refuse, write_suite
from tests.support import REPO
from tests.train.tiny import write_metadata

NAMED = ("0.1.0",)


def last_line(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, stderr
    return lines[0]


def test_a_suite(tmp_path: Path):
    suite = write_suite(tmp_path, ("validations: 2", "looks: 2"))
    said = refuse("plan", "--suite", suite, code=64, named=(*NAMED, "validations", f"{suite}:10"), unchanged=tmp_path)
    assert "which reads it" in last_line(said)


def test_a_cluster_file(tmp_path: Path):
    suite = write_suite(tmp_path)
    cluster = tmp_path / "cluster.yaml"
    cluster.write_text("partition: cpu\ntime: 10\nunits_at_once: 2\n")
    refuse(
        *("plan", "--suite", suite, "--executor", "slurm", "--cluster", cluster),
        code=64, named=(*NAMED, "runs_at_once", f"{cluster}:3"), unchanged=tmp_path,
    )  # fmt: skip


def old_records(root: Path) -> Path:
    """A suite's folder as the first version left it."""
    folder = root / "tiny"
    (folder / "suites").mkdir(parents=True)
    (folder / "suites" / f"{'a' * 64}.yaml").write_text("name: tiny\n")
    (folder / "units" / ("b" * 64)).mkdir(parents=True)
    (folder / "units" / ("b" * 64) / "unit.json").write_text(json.dumps({"schema_version": 1}))
    return folder


def test_a_folder_of_records(tmp_path: Path):
    folder = old_records(tmp_path)
    said = refuse("status", folder, code=65, named=(*NAMED, str(folder)), unchanged=tmp_path)
    assert "units/" in last_line(said)


def test_a_run_into_such_a_folder(tmp_path: Path):
    folder, suite = old_records(tmp_path), write_suite(tmp_path)
    refuse("run", "--suite", suite, "--runs", tmp_path, code=65, named=(*NAMED, str(folder)), unchanged=tmp_path)


def test_an_archive(tmp_path: Path):
    archive = tmp_path / "records.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        for name in (f"tiny/units/{'b' * 64}/unit.json", f"tiny/suites/{'a' * 64}.yaml"):
            content = b"{}"
            member = tarfile.TarInfo(name)
            member.size = len(content)
            file.addfile(member, io.BytesIO(content))
    refuse("import", archive, "--runs", "there", code=65, named=(*NAMED, str(archive)), unchanged=tmp_path)


def test_a_plug_in(tmp_path: Path):
    site = tmp_path / "site"
    site.mkdir()
    (site / "old_plug_in.py").write_text(
        "from harness.spec.method import Method\n\nclass Old(Method):\n    name = 'old'\n"
    )
    write_metadata(site, "[harness.methods]\nold = old_plug_in\n", "old-plug-in")
    suite = write_suite(tmp_path, ("  ua_mt:\n", "  old:\n"))
    said = refuse(
        "plan", "--suite", suite,
        code=64, named=(*NAMED, "old-plug-in", "harness.api"), unchanged=tmp_path,
        env={"PYTHONPATH": f"{REPO}{os.pathsep}{site}", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert "which reads it" in last_line(said)
