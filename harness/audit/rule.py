"""What a rule is made of: its heading on the page of rules, its check, and what checks share."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from harness.audit.finding import Verdict, held, name_runs, not_applicable, not_held
from harness.audit.records import AuditedSuite, SelectedRun

PAGE = Path(__file__).resolve().parents[2] / "benchmarks" / "RULES.md"
"""Says what each rule is and why; the checks are in this folder."""

Check = Callable[[AuditedSuite], Verdict]
Needs = Literal["selection", "runs", "environments", "finished", "cases"]

UNSEEN = "cannot be seen in records: "
NOT_RECORDED = "not recorded: "

R = TypeVar("R", bound=SelectedRun)


@dataclass(frozen=True)
class Rule:
    """One rule of benchmarks/RULES.md.

    family: the page's section.
    needs:  what there must be for the rule to apply.
    check:  as the page says.
    """

    number: int
    family: str
    title: str
    reason: str
    needs: Needs
    check: Check

    def judge(self, suite: AuditedSuite) -> Verdict:
        ready = {
            "selection": True,
            "runs": bool(suite.runs),
            "environments": any(run.environment is not None for run in suite.runs),
            "finished": bool(suite.finished),
            "cases": not suite.cases.empty,
        }
        return self.check(suite) if ready[self.needs] else nothing_finished(suite)


def _headings() -> dict[int, tuple[str, str, str]]:
    """Family, title and reason of each rule on the page, by number."""
    headings = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        rules = re.findall(r"^(\d+)\. \*\*(.+?)\.\*\*.+?\*Why:\* (.+?)\n\n", section, re.MULTILINE | re.DOTALL)
        for number, title, reason in rules:
            family = section.partition("\n")[0]
            headings[int(number)] = (family, " ".join(title.split()), " ".join(reason.split()))
    return headings


_HEADINGS = _headings()


def rule(number: int, needs: Needs = "finished") -> Callable[[Check], Rule]:
    """Make a rule of the check that follows."""
    return lambda check: Rule(number, *_HEADINGS[number], needs, check)


def nothing_finished(suite: AuditedSuite) -> Verdict:
    return not_applicable(f"no run has finished yet: {suite.progress}")


def one_value(runs: Sequence[R], what: str, value: Callable[[R], str], file: str = "run.json") -> Verdict:
    """Hold the rule if all runs have one value. Otherwise those that differ from the most frequent value violate it.

    file: in the run's folder, which holds the value.
    """
    by_value = group_runs(runs, value)
    if len(by_value) == 1:
        return held(f"{what}: {next(iter(by_value))}, in all of {counted(len(runs), 'run')} ({file})")
    lines = [f"{text}: {counted(len(members), 'run')}, {name_runs(members)}" for text, members in by_value.items()]
    differing = [run for members in list(by_value.values())[1:] for run in members]
    return not_held(differing, f"{len(by_value)} different values of {what} ({file})", *lines)


def group_runs(runs: Iterable[R], value: Callable[[R], str]) -> dict[str, list[R]]:
    """Runs by a value, the most frequent value first."""
    groups: dict[str, list[R]] = {}
    for run in runs:
        groups.setdefault(value(run), []).append(run)
    return dict(sorted(groups.items(), key=lambda item: -len(item[1])))


def group_by_entry(runs: Iterable[R]) -> dict[str, list[R]]:
    return group_runs(runs, lambda run: run.entry)


def counted(amount: int, thing: str) -> str:
    """1 run, 2 runs."""
    return f"{amount} {thing}" if amount == 1 else f"{amount} {thing}s"


def spread(values: Sequence[float], suffix: str = "", digits: int = 0) -> str:
    """The smallest and the largest value, '1,044 to 1,065 steps'; one value where all agree."""
    low, high = (f"{value:,.{digits}f}" for value in (min(values), max(values)))
    return f"{low}{suffix}" if low == high else f"{low} to {high}{suffix}"
