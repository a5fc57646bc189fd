"""Options that several verbs share."""

from __future__ import annotations

from pathlib import Path

import click

suite_option = click.option("--suite", required=True, help="Name of a shipped suite, or a path to a suite's YAML file.")
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="A prepared cache, or raw scans in any layout that `harness data prepare` reads; default $HARNESS_DATA, "
    "which suites on generated data do not read.",
)
runs_option = click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    envvar="HARNESS_RUNS",
    show_default=True,
    show_envvar=True,
    help="Directory of all records.",
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
ray_address_option = click.option(
    "--ray-address",
    help="Run units on a Ray that is up: HOST:PORT, or a file that holds it; default: one of our own on this machine.",
)


def say(line: str) -> None:
    """A line for people, on standard error, so that standard output stays a table."""
    click.echo(line, err=True)
