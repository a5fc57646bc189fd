"""`harness doctor`: what works here."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.options import data_option, runs_option, tracking_option


@click.command()
@data_option
@runs_option
@tracking_option
def command(data: Path | None, runs: Path, tracking_uri: str | None) -> None:
    """Check versions, device, disk, data, tracking, Ray and Slurm; one line each.

    ok works; absent is a service that only some verbs need; bad means that the core does not work (exit code 69).
    """
    from harness.api.errors import ServiceError
    from harness.doctor import examine

    bad = []
    for finding in examine(data, runs, tracking_uri):
        click.echo(f"{finding.state:<6}  {finding.what:<8}  {finding.text}")
        if finding.state == "bad":
            bad.append(finding.what)
    if bad:
        raise ServiceError(f"the core does not work here: {', '.join(bad)}")
