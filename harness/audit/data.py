"""Rules about the data: who is in which split, what images look like, which labels there are."""

from collections.abc import Mapping, Sequence

from harness.api.dataset import Dataset
from harness.api.errors import HarnessError
from harness.audit.finding import Verdict, combine, held, held_unless, not_applicable, not_held
from harness.audit.records import AuditedSuite, EndedRun
from harness.audit.rule import counted, one_value, rule
from harness.data.subsets import validation_patients
from harness.records.schema import DatasetRef, PlannedRun, Run
from harness.suite.prepared import PreparedDataset
from harness.suite.registry import load_dataset

ENOUGH = 3
"""Labelled subsets, and seeds, from which a table may speak about others than those that ran."""


@rule(1, needs="cases")
def splits(suite: AuditedSuite) -> Verdict:
    data = suite.finished[0].asked.dataset
    published = published_splits(data)
    if published is None:
        return not_applicable(f"the split lists of {data.name} v{data.version} are not known here")
    patients = suite.cases["patient"]
    mixed = patients.isin([*published["train"], *published["val"]])
    if mixed.any():
        who = _some(sorted(patients[mixed].unique()))
        guilty = suite.named(suite.cases["run"][mixed])
        return not_held(guilty, f"tested on training or validation patients ({who}) in cases.parquet")
    tested = suite.cases.groupby("run")["patient"].unique()
    listed = f"the {len(published['test'])} patients of the test split"
    if others := suite.named(tested.index[tested.map(set) != set(published["test"])]):
        return not_held(others, f"cases.parquet does not hold {listed}")
    if strangers := [run for run in suite.finished if _strangers(run, published["val"])]:
        who = _some(sorted(_strangers(strangers[0], published["val"])))
        return not_held(strangers, f"validated on patients of no validation list ({who}) by result.json")
    kept = ", ".join(f"{len(ids)} {split}" for split, ids in published.items())
    runs = counted(len(tested), "finished run")
    return held(f"{listed}, no other, in cases.parquet of all {runs} (of {kept})")


def _strangers(run: EndedRun, published: Sequence[str]) -> set[str]:
    """Patients of its validations whom it was not to be validated on."""
    validated = {patient for validation in run.result.validations for patient in validation.patients}
    asked = run.asked
    return validated.difference(validation_patients(published, asked.validation_patients, asked.dataset.name))


@rule(2, needs="runs")
def one_dataset(suite: AuditedSuite) -> Verdict:
    places = ((run, run.environment) for run in suite.runs)
    other = [run for run, place in places if place and place.data_checksum != run.asked.dataset.checksum]
    return combine(
        one_value(suite.runs, "data", lambda run: _version(run.asked.dataset)),
        one_value(suite.runs, "preprocessing", lambda run: str(run.asked.preprocessing)),
        held_unless(other, "ran on other data than planned"),
        held(*_warnings(suite)),
    )


def _warnings(suite: AuditedSuite) -> list[str]:
    shown = (run.environment.shown.get("data_warnings") or "" for run in suite.runs if run.environment is not None)
    return [f"warned of in the data: {line}" for line in dict.fromkeys("\n".join(shown).splitlines()) if line]


def _version(data: DatasetRef) -> str:
    return f"{data.name} v{data.version} {data.checksum[:10]}"


@rule(3, needs="selection")
def same_grid(suite: AuditedSuite) -> Verdict:
    planned: dict[str, set[str]] = {}
    for run in suite.ranked:
        planned.setdefault(run.entry, set()).add(str(run).partition("/")[2])
    if not planned:
        return not_applicable("selection.json ranks no method")
    everything = set().union(*planned.values())
    short = {method: everything - cells for method, cells in planned.items() if cells != everything}
    if short:
        lines = [f"{method} lacks {_some(sorted(cells))}" for method, cells in short.items()]
        return not_held([run for run in suite.runs if run.entry in short], "selection.json is uneven", *lines)
    if other := [run for run in suite.runs if _labels_and_seed(run.asked) != _labels_and_seed(run.planned_run)]:
        return not_held(other, "run.json has other labels or another seed than selection.json plans")
    return held(
        f"selection.json plans the same {counted(len(everything), 'run')} for each of "
        f"{counted(len(planned), 'ranked method')}: {', '.join(planned)}; {suite.progress}"
    )


def _labels_and_seed(run: Run | PlannedRun) -> tuple[int | None, int, int]:
    return run.labelled, run.subset, run.seed


@rule(4, needs="selection")
def several_subsets(suite: AuditedSuite) -> Verdict:
    subsets, seeds = {run.subset for run in suite.ranked}, {run.seed for run in suite.ranked}
    text = f"{counted(len(subsets), 'labelled subset')} ({_some(sorted(subsets))}) x {counted(len(seeds), 'seed')}"
    if min(len(subsets), len(seeds)) >= ENOUGH:
        return held(f"{text}; {suite.progress}")
    return not_applicable(f"{text}: the table speaks about these alone, not about other labels or seeds")


def published_splits(data: DatasetRef) -> Mapping[str, Sequence[str]] | None:
    """Patients by split of the dataset as it is installed here; None if it is not, or in another version."""
    dataset = _dataset(data)
    return None if dataset is None else {str(split): patients for split, patients in dataset.splits.items()}


def count_annotated(data: DatasetRef) -> int | None:
    """Training patients who have labels; None where the dataset is not known here."""
    dataset = _dataset(data)
    return None if dataset is None else len(dataset.splits["train"]) - len(dataset.unlabelled)


def _dataset(data: DatasetRef) -> Dataset | None:
    try:
        dataset = load_dataset(data.name)
    except HarnessError:
        return None
    if dataset.version != data.version or (isinstance(dataset, PreparedDataset) and dataset.checksum != data.checksum):
        return None
    return dataset


def _some(values: Sequence[object]) -> str:
    more = ", ..." if len(values) > 5 else ""
    return ", ".join(str(value) for value in values[:5]) + more
