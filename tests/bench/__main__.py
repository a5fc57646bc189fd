"""`make bench`: what the design promises, measured on the machine at hand; ratios come from one run, side by side."""

from __future__ import annotations

import sys

from tests.bench import metrics_bench, statistics_bench, steps_bench


def main() -> int:
    """Steps of every method, simulated statistics, then metrics against MedPy (needs scans: $HARNESS_DATA)."""
    steps_bench.main([])
    print()
    statistics = statistics_bench.main([])
    print()
    return metrics_bench.main([]) or statistics


if __name__ == "__main__":
    sys.exit(main())
