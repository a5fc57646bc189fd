"""`make bench`: what the design promises, measured on the machine at hand; ratios come from one run, side by side."""

from __future__ import annotations

import sys

from tests.bench import against, statistics_bench, steps_bench


def main() -> int:
    """Steps of every method, simulated statistics.

    With options it is the comparison with another commit instead.
    """
    if len(sys.argv) > 1:
        return against.main()
    steps_bench.main([])
    print()
    return statistics_bench.main([])


if __name__ == "__main__":
    sys.exit(main())
