import gzip
import json
import tarfile
from dataclasses import replace

import pytest

from harness.api.errors import RecordError
from harness.records.archive import export_records, import_records
from harness.records.checksums import seal_record
from harness.records.reader import SuiteRecords
from tests.cli.ground import repack, snapshot
from tests.support import call_cli, peak_below
from tests.synthetic import RunSpec, key, write_records

SPEC = RunSpec(methods={"supervised": 0.0}, labelled=(3,), seeds=1, patients=2, validations=1, history_steps=2)
RUN = f"s/runs/{'a' * 64}"


def member(name, size=0, kind=tarfile.REGTYPE, **more):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in more.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def pax(records, name="s/selection.json"):
    info = tarfile.TarInfo(name)
    info.pax_headers = records
    return info.tobuf(tarfile.PAX_FORMAT)


HOSTILE = {
    "a large selection": (member("s/selection.json", 10**9) + bytes(10**6), "of 1,000,000,000 bytes"),
    "a long name": (member("././@LongLink", 10**12, tarfile.GNUTYPE_LONGNAME), "a header of"),
    "a sparse file": (member("s/selection.json", 10, tarfile.GNUTYPE_SPARSE), "no plain file"),
    "a sparse file of pax": (pax({"GNU.sparse.major": "1", "GNU.sparse.minor": "0"}) + b"1\n0\n9\n" + bytes(505), ""),
    "another size in extended headers": (pax({"size": "9" * 13}), "of 9,999,999,999,999 bytes"),
    "a link": (member("s/selection.json", 0, tarfile.SYMTYPE, linkname="/etc/passwd"), "no plain file"),
    "a name twice": (2 * member("s/selection.json"), "twice"),
    "large records": (member(f"{RUN}/weights.pt", 2**25) + bytes(2**25) + member("s/x"), "no record of a suite"),
    "nothing": (b"", "holds no records"),
    "a name of dots": (member("../selection.json"), "no record of a suite"),
    "an absolute name": (member("/tmp/selection.json"), "no record of a suite"),
    "a checkpoint": (member(f"{RUN}/checkpoint.pt"), "no record of a suite"),
    "colours in a name": (member("s/\x1b[31mred"), "no record of a suite"),
}


@pytest.fixture
def archive(tmp_path):
    export_records([SuiteRecords(write_records(tmp_path / "from" / "s", SPEC))], tmp_path / "records.tar.gz")
    return tmp_path / "records.tar.gz"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_and_costs_nothing(name, tmp_path):
    content, expected = HOSTILE[name]
    path = tmp_path / "records.tar.gz"
    path.write_bytes(gzip.compress(content + bytes(1024)))
    with peak_below(20_000_000), pytest.raises(RecordError, match=r"records\.tar\.gz") as caught:
        import_records(path, tmp_path / "there")
    assert expected in str(caught.value)
    assert len(str(caught.value)) < 1000
    assert not (tmp_path / "there").exists()


def forged(archive, name, change):
    def forge(member, content):
        if not member.name.endswith(name):
            return content
        raw = json.loads(content)
        raw.pop("sha256")
        change(raw)
        return seal_record(json.dumps(raw)).encode()

    repack(archive, forge)


@pytest.mark.parametrize("entry", ["<script>alert(1)</script>", "../../x", "a\n"])
def test_an_entry_has_a_name_as_suites_give(entry, archive, tmp_path):
    forged(archive, "selection.json", lambda raw: raw["entries"][0]["planned_run"].update(entry=entry))
    before = snapshot(tmp_path)
    with pytest.raises(RecordError, match=r"selection\.json: entries\.0\.planned_run\.entry"):
        import_records(archive, tmp_path / "there")
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("run", ["../" * 5, "a" * 64 + "\n"])
def test_a_run_has_an_id_as_runs_have(run, archive, tmp_path):
    forged(archive, "selection.json", lambda raw: raw["entries"][0].update(run=run))
    with pytest.raises(RecordError, match=r"selection\.json: entries\.0\.run"):
        import_records(archive, tmp_path / "there")


def test_foreign_words_reach_no_terminal_table_or_csv(tmp_path):
    odd = "\x1b[2J<img src=x>|=1\r"
    spec = RunSpec(
        labelled=(3,), seeds=1, patients=3, classes=(f"=RV{odd}", "LV"), failed={("ua_mt", 3, 0, 0)},
        failure=RunSpec().failure.model_copy(update={"reason": odd}),
    )  # fmt: skip
    environment = spec.environment.model_copy(update={"device_model": f"=CPU {odd}"})
    store = write_records(
        tmp_path / "s", replace(spec, environments={key(run): environment for run in spec.planned_runs})
    )
    for form in ("text", "markdown", "csv"):
        done = call_cli("leaderboard", store.root, "--format", form)
        assert "\x1b" not in done.stdout + done.stderr
        assert "\r" not in done.stdout
    markdown = (store.leaderboard / "leaderboard.md").read_text()
    assert "<img" not in markdown
    assert "&lt;img" in markdown
    for table in markdown.split("\n\n"):
        bars = {line.replace("\\|", "").count("|") for line in table.splitlines() if line.startswith("|")}
        assert len(bars) <= 1, table
    for path in store.leaderboard.glob("*.csv"):
        cells = path.read_text().replace("\n", ",").split(",")
        assert not [cell for cell in cells if cell.lstrip('" ').startswith(("=", "@"))], path
    for verb in ("status", "audit"):
        assert "\x1b" not in call_cli(verb, store.root, code=None).stdout
