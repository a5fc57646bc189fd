from pathlib import Path

from harness.records.accounts import EntryAccount, Reconciliation, Seconds
from harness.records.reader import SuiteRecords
from harness.report.page import write_page
from tests.browser.chromium import DESKTOP, PHONE, complaints, show
from tests.synthetic import RunSpec, board_of, write_records


def account(entry: str, useful: float) -> EntryAccount:
    """200 GPU-seconds, of which 20 were idle."""
    seconds = Seconds(useful=useful, lost=5, start_up=175 - useful, idle=20)
    return EntryAccount(entry=entry, currency="GPU", allocated=200, attempts=2, seconds=seconds)


def test_allocations_are_shown_with_the_budget(browser, tmp_path: Path):
    store = write_records(tmp_path / "phantom_mini", RunSpec(labelled=(3,), seeds=1, patients=6))
    entries = [account("ua_mt", 150), account("mc_net", 120), account("gone", 10)]
    store.write_reconciliation(Reconciliation(suite="phantom_mini", at="2026-11-02T10:00:00Z", entries=entries))
    page = write_page(SuiteRecords(store), board_of(store))
    for size in (DESKTOP, PHONE):
        show(browser, page, size)
        rows = browser.execute_script(
            "return [...document.querySelectorAll('#budget-body table')]"
            ".filter((one) => one.caption.innerText.startsWith('GPU-seconds that Slurm allocated'))"
            ".flatMap((one) => [...one.tBodies[0].rows])"
            ".map((row) => [...row.cells].map((cell) => cell.innerText.trim()))"
        )
        assert [row[0] for row in rows] == ["ua_mt", "mc_net"], "what the tables do not name is left out"
        assert rows[0][2:] == ["150.0", "5.0", "0.0", "0.0", "25.0", "20.0", "0.0", "200.0", "2", "90.0 %", "77.5 %"]
        assert complaints(browser) == []
