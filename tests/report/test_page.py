import re
from dataclasses import replace

import pytest

from harness.audit import Audit, Finding
from harness.records.reader import SuiteRecords
from harness.records.schema import Failure
from harness.report.page import write_page
from tests.synthetic import RunSpec, board_of, key, write_records

SMALL = RunSpec(methods={"supervised": 0.0, "ua_mt": 0.2}, labelled=(3,), seeds=1, patients=4)


def finding(number, status, *evidence):
    return Finding(
        number=number, family="data", title=f"Rule <{number}>", reason="why & how", status=status, evidence=evidence
    )


def page_of(tmp_path, spec, **more):
    store = write_records(tmp_path / "s", spec)
    return write_page(SuiteRecords(store), board_of(store), **more).read_text()


def test_everything_is_in_the_file(written):
    html = written.html
    assert re.findall(r"(?:src|href|action)=[\"'](?!#|data:)", html) == []
    assert "@import" not in html
    assert "url(" not in html
    assert re.findall(r"(?:https?:)?//[\w-]+\.\w+", html.replace("http://www.w3.org/2000/svg", "")) == []
    assert "default-src 'none'" in html
    assert len(html) < 400_000
    assert "nowhere" not in html, "names of hosts stay at home"


def test_hostile_text_stays_text(tmp_path):
    failure = Failure(kind="error", reason="</script><script>alert(1)</script> & <b>'\"\u2028")
    html = page_of(tmp_path, replace(SMALL, seeds=2, failed={("ua_mt", 3, 0, 1)}, failure=failure))
    assert "<script>alert" not in html
    assert "alert(1)\\u003c/script" in html
    assert html.count("</script>") == 2


def test_the_audit_is_shown_rule_by_rule(tmp_path):
    audit = Audit(
        suite="s", protocol_version=1, runs=2, finished=2,
        findings=(finding(1, "held", "2 runs"), finding(2, "not held", "line one", "ua_mt/3/0/0 read test labels")),
    )  # fmt: skip
    html = page_of(tmp_path, SMALL, audit=audit)
    assert "2 of 2 runs finished; 2 rules: 1 held, 1 not held, 0 not applicable" in html
    assert "Not held: 2. Rule &lt;2&gt;" in html
    assert '<tr class="not-held">' in html
    assert "ua_mt/3/0/0 read test labels" in html
    assert "why &amp; how" in html


@pytest.mark.parametrize("left_out", ["all", "none of the methods"])
def test_a_suite_in_which_little_ran_has_a_page(tmp_path, left_out):
    missing = [key(planned) for planned in SMALL.planned_runs if left_out == "all" or planned.entry == "ua_mt"]
    html = page_of(tmp_path, replace(SMALL, missing=missing))
    sentence = "No ranked method has finished" if left_out == "all" else "no other ranked method has numbers"
    assert sentence in html
