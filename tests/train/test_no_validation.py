"""A dataset without validation patients."""

import pandas as pd
import pytest

from harness.audit import audit
from harness.records.reader import SuiteRecords
from tests.support import call_cli, cases_of
from tests.synthetic import write_checksums

pytestmark = pytest.mark.slow

PLANNED_RUN = "supervised/2/0/0"


@pytest.fixture(scope="module")
def finished(make_tiny):
    tiny = make_tiny({"supervised": {}, "supervised_full": {}}, dataset="tiny_no_validation", budget={"steps": 8})
    arguments = tiny.arguments("run", "--executor", "inline", "--no-track")[3:]
    done = call_cli(*arguments, env=tiny.environment, cwd=tiny.root)
    return tiny, done.stdout + done.stderr


def finding(tiny, number):
    return next(found for found in audit(SuiteRecords.open(tiny.store)).findings if found.number == number)


def test_validations_happen_and_select_nothing(finished):
    tiny, said = finished
    result = tiny.folder(PLANNED_RUN).require_result()
    assert [validation.validation for validation in result.validations] == [1, 2, 3, 4]
    assert [validation.dice for validation in result.validations] == [{}] * 4
    assert [validation.mean_dice for validation in result.validations] == [None] * 4
    assert result.best_validation is None
    assert result.status == "ok"
    cases = cases_of(tiny.folder(PLANNED_RUN))
    assert set(cases["checkpoint"]) == {"last"}
    assert len(cases) == 4, "two test patients, two classes"
    assert "no validation cases" in said
    assert "validation Dice" not in said


def test_the_audit_knows_the_rule_and_finds_a_forged_column(finished):
    tiny, _ = finished
    assert finding(tiny, 6).status == finding(tiny, 27).status == "held"
    assert "without validation cases" in str(finding(tiny, 6))
    folder = tiny.folder(PLANNED_RUN)
    honest = cases_of(folder)
    try:
        folder.write_cases(pd.concat([honest, honest.assign(checkpoint="best_val")], ignore_index=True))
        write_checksums(folder)
        assert finding(tiny, 6).status == "not held"
    finally:
        folder.write_cases(honest)
        write_checksums(folder)
