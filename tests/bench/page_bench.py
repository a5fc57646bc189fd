"""Seconds from records to a page, and from the page's file to a drawn page, for a suite of many runs.

    python -m tests.bench.page_bench [--count 5000] [--runs DIR]

Records are made up and written first, which takes longer than all the rest; with --runs they stay there for next time.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from harness.records.reader import SuiteRecords
from harness.records.suite_folder import SuiteFolder
from harness.report.page import write_page
from tests.browser.chromium import chromium, complaints, show
from tests.services import require_chromium
from tests.support import selected_of
from tests.synthetic import RunSpec, board_of, write_records

METHODS, LABELLED, SUBSETS = 10, (3, 7), 5


def suite(count: int) -> RunSpec:
    """Ten methods at two labelled counts on five subsets and a reference, with as many seeds as make so many runs."""
    methods = {f"method_{i:02d}": 0.05 * i for i in range(METHODS)} | {"supervised_full": 0.0}
    seeds = max(1, count // (METHODS * len(LABELLED) * SUBSETS))
    return RunSpec(methods=methods, labelled=LABELLED, subsets=SUBSETS, seeds=seeds, validations=10, history_steps=2)


def records(root: Path, count: int) -> SuiteFolder:
    """The records under `root`, written unless they are there."""
    return SuiteFolder.open(root) if (root / "suites").is_dir() else write_records(root, suite(count))


def drawn_seconds(page: Path) -> float:
    """From navigation to the end of the page's own script, in a real browser."""
    with tempfile.TemporaryDirectory() as profile, chromium(require_chromium(), Path(profile)) as driver:
        show(driver, page)
        assert complaints(driver) == []
        milliseconds = driver.execute_script("return performance.getEntriesByType('navigation')[0].loadEventEnd")
    return float(milliseconds) / 1000.0


def main(arguments: Sequence[str]) -> int:
    """Print one line a step: wall and CPU seconds, and the peak of memory so far."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--runs", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as aside:
        store = records((options.runs or Path(aside)) / f"synthetic_{options.count}", options.count)
        wall, cpu = time.perf_counter(), time.process_time()
        board = board_of(store)
        between, spent = time.perf_counter(), time.process_time()
        page = write_page(SuiteRecords(store), board)
        ended, total = time.perf_counter(), time.process_time()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
        print(f"{len(selected_of(store))} runs; peak {peak:.0f} MB")
        print(f"board  {between - wall:6.1f} s wall  {spent - cpu:6.1f} s CPU")
        print(f"page   {ended - between:6.1f} s wall  {total - spent:6.1f} s CPU  {page.stat().st_size / 1e6:.2f} MB")
        print(f"drawn  {drawn_seconds(page):6.1f} s in Chromium")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
