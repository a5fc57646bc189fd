"""Run a suite from Python and print its leaderboard.

    python examples/run_demo.py                    # the demo suite: generated data, about two minutes on a CPU
    python examples/run_demo.py acdc_mini DIR      # another suite, on the data in DIR

The same command goes on after any stop. Records lie in ./runs.
"""

import sys

import harness


def main(suite: str = "demo", data: str | None = None) -> None:
    """Train, test and rank a suite, then print the columns that matter most.

    Args:
        suite: Name of a shipped suite, or path of a suite's YAML file.
        data: Folder of the data. The demo generates its own.
    """
    leaderboard = harness.run_suite(suite, data=data, runs="runs", executor="inline", track=False)
    columns = ["labelled", "entry", "rank", "dice", "dice_low", "dice_high", "n_ok", "n_runs"]
    table = leaderboard.results.query("checkpoint == 'last'")
    print(table[columns].to_string(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main(*sys.argv[1:3])
