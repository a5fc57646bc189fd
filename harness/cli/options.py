"""Options and arguments that several verbs share."""

import math
from pathlib import Path

import click
from click.core import ParameterSource

from harness.cli.completion import complete_folder, complete_suite
from harness.records.reader import SuiteRecords
from harness.records.variables import path_of

PATH = click.Path(path_type=Path)
Spacing = tuple[float, float, float]

records_argument = click.argument(
    "records",
    metavar="FOLDER",
    type=PATH,
    callback=lambda _context, _parameter, folder: SuiteRecords.open(folder),
    shell_complete=complete_folder,
)
"""The folder of one suite's records, as runs/acdc_mini. The verb receives a `SuiteRecords`."""

suite_option = click.option(
    "--suite",
    required=True,
    help="Name of a shipped suite, or a path to a suite's YAML file.",
    shell_complete=complete_suite,
)
data_option = click.option(
    "--data",
    type=PATH,
    help="A prepared cache, or raw scans in any layout that `harness data prepare` reads; default $HARNESS_DATA, "
    "which suites on generated data do not read.",
)


def _expanded(context: click.Context, parameter: click.Parameter, path: Path) -> Path:
    """A folder from the environment, where no shell has expanded ~ and $NAME."""
    from_variable = context.get_parameter_source(parameter.name or "") is ParameterSource.ENVIRONMENT
    return (path_of("HARNESS_RUNS") or path) if from_variable else path


runs_option = click.option(
    "--runs",
    type=PATH,
    callback=_expanded,
    default=Path("runs"),
    envvar="HARNESS_RUNS",
    show_envvar=True,
    help="Directory of all records.",
)
cluster_option = click.option(
    "--cluster",
    type=PATH,
    metavar="FILE",
    help="With --executor slurm: what jobs ask for, as in slurm/cluster.example.yaml.",
)
workers_option = click.option(
    "--workers", type=click.IntRange(1), help="Runs at once; default: the GPUs, or the cores without them."
)
rung_option = click.option(
    "--rung",
    type=click.IntRange(1),
    metavar="N",
    help="One rung of a suite whose budget is a ladder, in reference steps; default: all, the shortest first.",
)
checkpoint_option = click.option(
    "--checkpoint-seconds",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    help="Wall seconds between two checkpoints of a run.",
)
panels_option = click.option(
    "--panels/--no-panels",
    default=None,
    help="Pictures of the worst test cases on the page, which then holds scans and must not be published where the "
    "data's licence forbids it. Default: where the data are at hand.",
)
tracking_option = click.option(
    "--tracking-uri",
    envvar="MLFLOW_TRACKING_URI",
    show_envvar=True,
    help="MLflow's store; default sqlite:///mlflow.db.",
)


def millimetres(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Spacing | None:
    """Three lengths, separated by commas."""
    if text is None:
        return None
    try:
        x, y, z = (float(side) for side in text.split(","))
    except ValueError:
        raise click.BadParameter(f"{text!r} are not three lengths, as 0.8,0.8,3") from None
    if not all(0 < side < math.inf for side in (x, y, z)):
        raise click.BadParameter(f"{text!r}: a length in mm is more than 0")
    return x, y, z
