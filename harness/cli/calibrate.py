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
    from harness.records.calibration import Calibration

log = logging.getLogger(__name__)


@click.command("calibrate")
@options.suite_option
@options.data_option
@options.runs_option
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A new .json file, to ship with a suite.")
@click.option("--check", is_flag=True, help="Measure the suite's calibration again, and compare. Writes nothing.")
def calibrate_command(suite: str, data: Path | None, runs: Path, to: Path | None, check: bool) -> None:
    """Measure what a training step of every entry costs, in steps of plain supervised training.

    A suite with a budget of reference steps needs that; `harness run` measures what it lacks by itself. Here all
    entries are measured anew, beside the suite's records, as a table of its own; with --to into a file that the suite
    can name.
    """
    from harness.execution.calibration import differing_costs, measure_suite
    from harness.records.calibration import PRECISION
    from harness.records.files import write_record
    from harness.suite.load import load_suite

    if to is not None and check:
        raise UsageError("--check writes nothing; leave out --to")
    loaded = load_suite(suite)
    known, measured, store = measure_suite(loaded, data, runs, check)
    print_table(*cost_table(measured))
    if known is not None:
        if lines := differing_costs(known, measured):
            raise AuditError("\n".join(lines))
        log.info("the calibration on record agrees within 5 %")
    elif to is None:
        store.write_calibration(measured)
    else:
        stages = [(entry.key, stage) for entry in measured.entries for stage in entry.stages]
        if wide := "; ".join(f"{key}, stage {stage.name}" for key, stage in stages if stage.spread > PRECISION):
            raise AuditError(f"{to}: not written, since it is not known within {PRECISION:.0%}: {wide}; try again")
        write_record(to, measured)


def cost_table(calibration: Calibration) -> Printed:
    """Columns and rows: each stage of each entry, its cost in supervised steps with its interval, and its start."""
    rows: list[Line] = [
        [str(entry.key), stage.name, f"{stage.ratio:.3f}", f"{stage.spread:.1%}", f"{stage.fixed(0):.2f}"]
        for entry in calibration.entries
        for stage in entry.stages
    ]
    return ["entry", "stage", "supervised steps", "95 % within", "start"], rows, "llrrr"
