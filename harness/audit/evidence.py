"""What checks share: verdicts in a word, runs by name and by method, and whether all runs have one value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from harness.audit.finding import Verdict
from harness.audit.records import AuditedSuite, SelectedRun

NAMED = 3
"""Runs that a line of evidence names before it counts the others."""

UNSEEN = "cannot be seen in records: "
NOT_RECORDED = "not recorded: "

R = TypeVar("R", bound=SelectedRun)


def held(*evidence: str) -> Verdict:
    """The rule holds."""
    return Verdict("held", evidence)


def broken(runs: Sequence[SelectedRun], head: str, *lines: str) -> Verdict:
    """The rule is broken by these runs, which the first line names where no further line says more of each."""
    first = f"{head}: {names(runs)}" if runs and not lines else head
    return Verdict("not held", (first, *lines), tuple(dict.fromkeys(run.id for run in runs)))


def broken_results(runs: Sequence[SelectedRun], head: str, lines: Iterable[str]) -> Verdict:
    """Broken by what result.json of these runs says, in a line for each run."""
    return broken(runs, head, *(f"{run.name}/result.json: {line}" for run, line in zip(runs, lines, strict=True)))


def held_unless(runs: Sequence[SelectedRun], head: str, *lines: str) -> Verdict:
    """Broken by these runs, as `broken`, or held without a word where there are none."""
    return broken(runs, head, *lines) if runs else held()


def not_applicable(*evidence: str) -> Verdict:
    """The rule has nothing to judge; the evidence says why."""
    return Verdict("not applicable", evidence)


def nothing_finished(suite: AuditedSuite) -> Verdict:
    """For checks on runs with numbers, where there are none."""
    return not_applicable(f"no run has finished yet: {suite.progress}")


def together(*verdicts: Verdict) -> Verdict:
    """One verdict on several points: not held where one is not, held where one is; evidence in that order."""
    order = {"not held": 0, "held": 1, "not applicable": 2}
    ranked = sorted(verdicts, key=lambda verdict: order[verdict.status])
    evidence = tuple(line for verdict in ranked for line in verdict.evidence)
    runs = tuple(dict.fromkeys(run for verdict in ranked for run in verdict.runs))
    return Verdict(ranked[0].status, evidence, runs)


def one_value(runs: Sequence[R], what: str, value: Callable[[R], str], file: str = "run.json") -> Verdict:
    """Held if all runs have one value; otherwise those that differ from the most frequent one are at fault.

    file: of the run's folder, where the value stands.
    """
    by_value = grouped(runs, value)
    if len(by_value) == 1:
        return held(f"{what}: {next(iter(by_value))}, in all of {counted(len(runs), 'run')} ({file})")
    lines = [f"{text}: {counted(len(members), 'run')}, {names(members)}" for text, members in by_value.items()]
    odd = [run for members in list(by_value.values())[1:] for run in members]
    return broken(odd, f"{len(by_value)} different values of {what} ({file})", *lines)


def grouped(runs: Iterable[R], value: Callable[[R], str]) -> dict[str, list[R]]:
    """Runs by a value, the most frequent value first."""
    groups: dict[str, list[R]] = {}
    for run in runs:
        groups.setdefault(value(run), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def by_method(runs: Iterable[R]) -> dict[str, list[R]]:
    """Runs by the name of their method in the suite, the most frequent one first."""
    return grouped(runs, lambda run: run.method)


def names(runs: Sequence[SelectedRun]) -> str:
    """The first few runs by name, the others counted."""
    named = ", ".join(run.name for run in runs[:NAMED])
    return f"{named} and {len(runs) - NAMED} more" if len(runs) > NAMED else named


def counted(amount: int, thing: str) -> str:
    """1 run, 2 runs."""
    return f"{amount} {thing}" if amount == 1 else f"{amount} {thing}s"


def spread(values: Sequence[float], run: str = "", digits: int = 0) -> str:
    """'1,044 to 1,065 steps', or one value where all agree."""
    low, high = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    return f"{low}{run}" if low == high else f"{low} to {high}{run}"
