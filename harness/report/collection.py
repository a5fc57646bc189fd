"""A folder of exports, one per contributor: each is verified and audited, and all are ranked together."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from harness.api.errors import HarnessError, UsageError
from harness.audit import Audit, audit
from harness.leaderboard import numbers
from harness.leaderboard.inputs import LeaderboardInput, read_input
from harness.leaderboard.joint import differing_twins, rank_together
from harness.leaderboard.sources import archives_in, unpacked
from harness.records.archive import SUFFIXES
from harness.records.reader import SuiteRecords
from harness.records.temporary import temporary_folder
from harness.records.untrusted_text import in_markdown, markdown_table

HEADERS = ("#", "method", "by", "Dice %", "runs", "patients")


@dataclass(frozen=True)
class Contribution:
    """One suite of an export.

    name:  the export's path in the folder, acdc_mini/alice, with its suffix where another one is called so too; of
           several suites with the suite's name.
    flaw:  why it is not used; empty where it is whole.
    runs:  on record. audit, inputs: None with a flaw.
    """

    name: str
    suite: str = ""
    runs: int = 0
    flaw: str = ""
    audit: Audit | None = None
    inputs: LeaderboardInput | None = None

    @property
    def broken_rules(self) -> list[str]:
        return [f"{rule.number}. {rule.title}" for rule in self.audit.violations] if self.audit else []


@dataclass(frozen=True)
class Collection:
    """What a folder of exports says.

    ranking: columns as in `joint.COLUMNS`; contributions that hold every rule, and no others.
    twins:   runs of one id with different scores, a line each.
    """

    contributions: tuple[Contribution, ...]
    ranking: pd.DataFrame
    twins: tuple[str, ...]

    def markdown(self) -> str:
        """Contributions first, then a table for each labelled count."""
        return "\n\n".join(self._parts()) + "\n"

    def _parts(self) -> Iterator[str]:
        yield "# Results of all contributors"
        lines: list[tuple[str, ...]] = [("contribution", "suite", "runs", "records", "rules not held")]
        for each in self.contributions:
            state = f"not used: {each.flaw}" if each.flaw else "whole"
            lines.append((each.name, each.suite, str(each.runs), state, "; ".join(each.broken_rules) or "none"))
        yield markdown_table(lines, "lllll")
        yield from (f"- **Differs:** {in_markdown(line)}" for line in self.twins)
        keys = ["dataset", "budget", "conditions", "labelled"]
        for (dataset, budget, conditions, labelled), rows in self.ranking.groupby(keys, sort=False):
            about = f"{dataset}, {labelled} labelled patients, {budget} a run"
            others = str(conditions).removeprefix(str(budget)).lstrip(",; ")
            yield f"## {in_markdown(', '.join(filter(None, (about, others))))}"
            yield markdown_table([HEADERS, *map(_cells, rows.to_dict("records"))], "lllrrr")
        yield (
            "Ranked by the mean Dice of the last checkpoint over patients, with its 95 % interval. A rank spans what "
            "significant differences allow among all pairs of a table. Tables hold runs under equal conditions alone; "
            "contributions that break a rule are left out."
        )


def _cells(row: dict[Any, Any]) -> tuple[str, ...]:
    rank, worst = row["rank"], row["rank_worst"]
    percent = [numbers.percent(row[name]) for name in ("dice", "dice_low", "dice_high")]
    return (
        str(rank) if rank == worst else f"{rank}-{worst}",
        str(row["entry"]),
        str(row["contributors"]),
        f"{percent[0]} {numbers.bounds(*percent[1:])}".strip(),
        f"{row['n_ok']}/{row['n_runs']}",
        str(row["n_patients"]),
    )


def collect(folder: Path) -> Collection:
    """Verify, audit and rank every export in a folder and below it.

    Raises `UsageError` without any, `DataError` where two contributors tested on other patients under equal conditions.
    """
    archives = archives_in(folder)
    if not archives:
        raise UsageError(f"{folder}: no exports here; `harness export RUNS/SUITE --to FILE.tar.xz` writes one")
    with temporary_folder("harness-collect-") as aside:
        named = zip(_names(folder, archives), archives, strict=True)
        contributions = [each for i, (name, file) in enumerate(named) for each in _read(name, file, aside / str(i))]
        fair = {each.name: each.inputs for each in contributions if each.inputs is not None and not each.broken_rules}
        return Collection(tuple(contributions), rank_together(fair), tuple(differing_twins(fair)))


def _names(folder: Path, archives: Sequence[Path]) -> list[str]:
    paths = [file.relative_to(folder).as_posix() for file in archives]
    short = [next(path.removesuffix(end) for end in SUFFIXES if path.endswith(end)) for path in paths]
    return [name if short.count(name) == 1 else path for name, path in zip(short, paths, strict=True)]


def _read(name: str, file: Path, temporary: Path) -> Iterator[Contribution]:
    try:
        suites = unpacked(file, temporary)
    except HarnessError as error:
        yield Contribution(name, flaw=str(error).partition("\n")[0].replace(str(file), file.name))
        return
    for suite in suites:
        yield _judged(name if len(suites) == 1 else f"{name} ({suite.name})", suite)


def _judged(name: str, suite: SuiteRecords) -> Contribution:
    whole = Contribution(name, suite.name, len(suite.runs))
    try:
        return replace(whole, audit=audit(suite), inputs=read_input(suite))
    except HarnessError as error:
        return replace(whole, flaw=str(error).partition("\n")[0].replace(f"{suite.root.parent}/", ""))
