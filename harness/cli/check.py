"""`harness check`: whether a method keeps the contract."""

import logging
import time

import click

from harness.api.errors import MethodCheckError
from harness.records.untrusted_text import single_line

log = logging.getLogger(__name__)


@click.command("check")
@click.argument("method")
def check_command(method: str) -> None:
    """Try METHOD on small phantoms, rule by rule: what passes, what fails and where, what does not apply.

    METHOD is the name of a registered method, a dotted module (mypackage.mine), or a file (mine.py); FILE:CLASS chooses
    where there are several. Needs no data and writes nothing; about half a minute. Exit code 77 where a line fails.
    """
    from harness.check.lines import check

    began, outcomes = time.monotonic(), []
    for outcome in check(method):
        where = f"{outcome.place}: " if outcome.place else ""
        click.echo(single_line(f"{outcome.state:<14}  {outcome.line:<12}  {where}{outcome.text}"))
        outcomes.append(outcome)
    states = [outcome.state for outcome in outcomes]
    counts = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(sorted(states, reverse=True)))
    log.info(f"{method}: {counts}, in {time.monotonic() - began:.0f} s")
    if failed := [outcome.line for outcome in outcomes if outcome.state == "failed"]:
        raise MethodCheckError(f"{method} does not keep the contract: {', '.join(failed)}")
