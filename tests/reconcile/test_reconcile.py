import shutil

import pytest

from harness.audit import audit
from harness.execution.outcome import Outcome, settle
from harness.leaderboard.render import terminal_text
from harness.records.accounts import Seconds
from harness.records.reader import SuiteRecords
from harness.report.content import content
from harness.train.stop import StopFlag
from tests.slurm.accounted import ELAPSED, SPEC, TRAINED, Accounted, write_accounted
from tests.support import call_cli
from tests.synthetic import board_of

pytestmark = pytest.mark.slow

RUN = Seconds(useful=TRAINED, evaluation=10, checkpoint=2, start_up=2 + 6 + 4, idle=15, unexplained=1)
"""Of each made-up job: 2 s to its process, 6 s to its first line, 4 s of loading, and 15 s after its end."""


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return write_accounted(tmp_path_factory.mktemp("accounted"))


@pytest.fixture
def ran(original, tmp_path):
    root = original.commands.parent
    shutil.copytree(root, tmp_path / "copy")
    store = type(original.store)(tmp_path / "copy" / original.store.root.relative_to(root))
    found = Accounted(store, tmp_path / "copy" / "commands", original.jobs)
    found.answer()
    return found


def reconcile(ran, *more, code=0, **env):
    return call_cli("reconcile", ran.store.root, *more, env={**ran.environment, **env}, code=code)


def verdict(ran):
    return next(finding for finding in audit(SuiteRecords(ran.store)).findings if finding.number == 34)


def test_every_second_of_every_job_is_found_again_and_shown_where_there_is_no_slurm(ran):
    done = reconcile(ran, "--allocations")
    found = ran.store.reconciliation()
    assert len(found.allocations) == len(ran.jobs) == 8
    assert all(one.seconds == RUN for one in found.allocations)
    assert all((one.allocated, one.gres, one.violation) == (ELAPSED, "gpu:a100", False) for one in found.allocations)
    entries = {entry.entry: (entry.attempts, entry.allocated) for entry in found.entries}
    assert entries == dict.fromkeys(SPEC.methods, (2, 2 * ELAPSED))
    assert found.entries[0].training_share == pytest.approx(0.9)
    assert found.entries[0].ledger_ratio == pytest.approx(384 / 400)
    row = done.stdout.splitlines()[1].split()
    assert row[1:] == ["2", "GPU-s", "800.0", "720.0", "0.0", "20.0", "4.0", "24.0", "30.0", "2.0", "96.0%", "90.0%"]
    assert "8 attempts in 8 allocations reconciled" in done.stderr
    board = board_of(ran.store)
    for shown in board.results.to_dict("records"):
        assert shown["allocation_status"] == "reconciled"
        assert (shown["allocation_seconds"], shown["allocation_currency"]) == (800.0, "GPU")
        assert shown["allocation_training_share"] == pytest.approx(0.9)
        assert shown["allocation_ledger_ratio"] == pytest.approx(0.96)
    text = terminal_text(board)
    rows = [line.split() for line in text.splitlines() if "reconciled" in line]
    assert sorted(rows) == [[method, "800.0", "GPU", "96.0", "90.0", "reconciled"] for method in sorted(SPEC.methods)]
    assert content(board)["allocations"]["rows"][0]["seconds"]["start-up"] == 24
    assert verdict(ran).status == "held"
    assert "96.0%" in "".join(verdict(ran).evidence)


def test_time_that_no_ledger_knows_of_is_idle_and_time_that_contradicts_is_a_violation(ran):
    ran.answer(elapsed=1000)
    reconcile(ran)
    assert {one.seconds.idle for one in ran.store.reconciliation().allocations} == {615.0}
    ran.answer(elapsed=300)
    done = reconcile(ran, code=76)
    assert "job 100 (COMPLETED, n1): -84.0 GPU-seconds unexplained, 8.0 tolerated" in done.stderr
    judged = verdict(ran)
    assert judged.status == "not held"
    assert set(judged.runs) == set(ran.jobs)
    assert set(board_of(ran.store).results["allocation_status"]) == {"unexplained time"}


def test_a_process_that_died_before_its_first_line_hides_no_other_attempt(ran):
    """As where a node kills all that touches its GPU, and another one ends the run."""
    folder = ran.store.by_id(next(iter(ran.jobs)))
    result, lines = folder.require_result(), folder.ledger.lines()
    folder.reopen()
    folder.ledger.path.unlink()
    assert settle(folder, Outcome(folder.id, "killed", "", 9), StopFlag(), elsewhere=True).exit_code == 71
    for line in lines:
        folder.ledger.append(line.model_copy(update={"attempt": 1}))
    folder.write_result(result)
    assert "8 attempts in 8 allocations reconciled" in reconcile(ran).stderr


def test_accounts_without_gpus_are_told_from_jobs_without_gpus(ran):
    ran.answer("billing=1,cpu=4,mem=1G")
    done = reconcile(ran, code=69)
    assert "add gres/gpu to AccountingStorageTRES" in done.stderr
    assert set(board_of(ran.store).results["allocation_status"]) == {"not reconciled"}
    assert verdict(ran).status == "not applicable"


def test_without_accounting_rows_are_marked_and_nothing_known_is_forgotten(ran):
    (ran.commands / "sacct").unlink()
    nowhere = {**ran.environment, "PATH": str(ran.commands)}
    done = reconcile(ran, code=69, **nowhere)
    assert "not reconciled: sacct is not on the PATH" in done.stderr
    assert set(board_of(ran.store).results["allocation_status"]) == {"not reconciled"}
    ran.answer()
    reconcile(ran)
    known = ran.store.reconciliation_path.read_text()
    (ran.commands / "sacct").unlink()
    reconcile(ran, code=69, **nowhere)
    assert ran.store.reconciliation_path.read_text() == known


def test_what_ran_after_the_accounts_were_read_is_not_reconciled(ran):
    run = next(iter(ran.jobs))
    kept = [line for line in (ran.commands / "lines").read_text().splitlines() if not line.startswith(ran.jobs[run])]
    (ran.commands / "lines").write_text("\n".join(kept) + "\n")
    done = reconcile(ran)
    assert "1 attempts not reconciled: the scheduler's accounts do not know its job" in done.stderr
    rows = board_of(ran.store).results
    assert set(rows["allocation_status"]) == {"reconciled", "not reconciled (1 of 2 runs are)"}
    assert verdict(ran).status == "not applicable"
    assert "runs/" + run[:10] in verdict(ran).evidence[0]
