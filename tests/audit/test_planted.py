import json
import re

import pytest

from harness.audit import Audit, audit
from harness.execution.inline import run_inline
from harness.records.reader import SuiteRecords
from harness.train.run import RunSettings
from tests.support import call_cli

pytestmark = pytest.mark.slow

HONEST = ("cheat_floor", "cheat_semi", "cheat_open", "cheat_ceiling")
CAUGHT = {
    "cheat_forges": 5,
    "cheat_reads_file": 5,
    "cheat_peeks": 5,
    "cheat_trains_at_validations": 11,
    "cheat_other_thread": 11,
    "cheat_noisy": 20,
    "cheat_late_noise": 20,
    "cheat_in_place": 20,
    "cheat_pastes": 20,
    "cheat_boasts": 20,
}
"""Method -> number of the rule that catches it."""


def train(tiny):
    session = tiny.session()
    outcomes = list(run_inline(session, session.pending(), RunSettings(checkpoint_seconds=1000.0)))
    assert {outcome.status for outcome in outcomes} == {"ok"}
    return session.store


@pytest.fixture(scope="module")
def cheated(make_tiny):
    tiny = make_tiny({name: {} for name in (*HONEST, *CAUGHT)}, budget={"steps": 12})
    train(tiny)
    return tiny


@pytest.fixture(scope="module")
def audited_suite(cheated):
    return audit(SuiteRecords.open(cheated.store))


def finding(audited, number):
    return next(finding for finding in audited.findings if finding.number == number)


def planned_run(method):
    return f"{method}/all/0/0" if method == "cheat_ceiling" else f"{method}/2/0/0"


@pytest.mark.parametrize("method", CAUGHT)
def test_each_cheat_is_caught_by_its_rule(method, cheated, audited_suite):
    run = cheated.folder(planned_run(method)).id
    accusing = {finding.number for finding in audited_suite.findings if run in finding.runs}
    assert accusing == {CAUGHT[method]}
    assert finding(audited_suite, CAUGHT[method]).status == "not held"


def test_nobody_else_is_accused(cheated, audited_suite):
    honest = {cheated.folder(planned_run(method)).id for method in HONEST}
    assert {run for finding in audited_suite.findings for run in finding.runs}.isdisjoint(honest)
    assert {finding.number for finding in audited_suite.violations} == set(CAUGHT.values())


def test_the_command_line_ends_with_76_and_says_which_rules(cheated, audited_suite):
    done = call_cli("audit", cheated.runs / "tiny", "--json", code=76)
    error = done.stderr.splitlines()[-1]
    assert error.startswith("error: not held: 5. The test split is opened once")
    assert [int(number) for number in re.findall(r"(\d+)\. ", error)] == sorted(set(CAUGHT.values()))
    assert Audit.model_validate(json.loads(done.stdout)) == audited_suite


def test_who_overspends_is_caught_with_figures(make_tiny):
    """A budget of 0.4 device-seconds, of which 0.36 are gone when the last stage starts and takes 0.5."""
    tiny = make_tiny({"cheat_semi": {}, "cheat_long_start": {}}, budget={"device_seconds": 0.4})
    audited = audit(SuiteRecords(train(tiny)))
    overspent = finding(audited, 10)
    assert (overspent.status, overspent.runs) == ("not held", (tiny.folder("cheat_long_start/2/0/0").id,))
    spent, amount, extra, allowed = map(
        float, re.findall(r"[\d.]+(?= of|,| device| too|$)", overspent.evidence[1].partition("result.json: ")[2])
    )
    assert amount == 0.4
    assert spent == pytest.approx(0.86, abs=0.1)
    assert extra == pytest.approx(spent - amount, abs=0.002)
    assert allowed < 0.1
