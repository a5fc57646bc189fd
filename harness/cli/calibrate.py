"""`harness calibrate`: what a step of each entry costs, measured, frozen, measured again."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.api.errors import AuditError, UsageError
from harness.cli import options
from harness.cli.tables import Line, Printed, print_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from harness.execution.calibration import Comparison
    from harness.records.calibration import Calibration

log = logging.getLogger(__name__)


@click.command("calibrate")
@options.suite_option
@options.data_option
@options.runs_option
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A new .json file, to ship with a suite.")
@click.option(
    "--check",
    is_flag=True,
    help="Measure the suite's calibration again, and compare; writes nothing, and ends with 76 where a cost differs "
    "by more than 5 %.",
)
def calibrate_command(suite: str, data: Path | None, runs: Path, to: Path | None, check: bool) -> None:
    """Measure what a training step of every entry costs, in steps of plain supervised training.

    A suite with a budget of reference steps needs that; `harness run` measures what it lacks by itself. Here all
    entries are measured anew, beside the suite's records, as a table of its own; with --to also into a file that the
    suite can name.
    """
    from harness.execution.calibration import compare, differing_costs, measure_suite
    from harness.records.calibration import PRECISION
    from harness.records.files import write_record
    from harness.suite.load import load_suite

    if to is not None and check:
        raise UsageError("--check writes nothing; leave out --to")
    loaded = load_suite(suite)
    known, measured, store = measure_suite(loaded, data, runs, check)
    if known is not None:
        print_table(*check_table(compare(known, measured)))
        if lines := differing_costs(known, measured):
            raise AuditError("\n".join(lines))
        log.info("the calibration on record agrees within 5 %")
        return
    print_table(*cost_table(measured))
    store.write_calibration(measured)
    if to is not None:
        stages = [(entry.key, stage) for entry in measured.entries for stage in entry.stages]
        if wide := "; ".join(f"{key}, stage {stage.name}" for key, stage in stages if stage.spread > PRECISION):
            raise AuditError(
                f"{to}: not written, since it is not known within {PRECISION:.0%}: {wide}. "
                "It is kept beside the runs, and shows its intervals there; on a quieter machine it may be shipped"
            )
        write_record(to, measured, indent=None)


def cost_table(calibration: Calibration) -> Printed:
    """Columns and rows: each stage of each entry, its cost in supervised steps with its interval, and its start."""
    rows: list[Line] = [
        [str(entry.key), stage.name, f"{stage.ratio:.3f}", f"{stage.spread:.1%}", f"{stage.fixed(0):.2f}"]
        for entry in calibration.entries
        for stage in entry.stages
    ]
    return ["entry", "stage", "supervised steps", "95 % within", "start"], rows, "llrrr"


def check_table(compared: Sequence[Comparison]) -> Printed:
    """Columns and rows: each stage, its cost on record and here, the interval of the latter, and the difference."""
    rows: list[Line] = [
        [
            *(str(each.key), each.measured.name, f"{each.recorded.ratio:.3f}", f"{each.measured.ratio:.3f}"),
            *(f"{each.measured.spread:.1%}", f"{each.difference:+.1%}"),
        ]
        for each in compared
    ]
    return ["entry", "stage", "on record", "here", "95 % within", "difference"], rows, "llrrrr"
