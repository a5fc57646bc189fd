"""Suite + registry -> validated slots and units. Pure: enumerates, touches no disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from harness.registry import load_dataset, load_method
from harness.spec.dataset import Dataset
from harness.spec.errors import UsageError
from harness.spec.params import MethodParams
from harness.spec.records import Budget, DatasetRef, Selection, SelectionEntry, Slot, Unit
from harness.spec.task import Task
from harness.suite import LoadedSuite

if TYPE_CHECKING:  # a misspelt suite is told before torch is loaded
    from harness.spec.method import Method


@dataclass(frozen=True)
class Planned:
    """A slot and the unit that fills it; whether the leaderboard ranks its method."""

    slot: Slot
    unit: Unit
    ranked: bool


@dataclass(frozen=True)
class Plan:
    """Everything a suite asks for, in the order in which it should run."""

    loaded: LoadedSuite
    finals: tuple[Planned, ...]

    @property
    def units(self) -> tuple[Unit, ...]:
        """Each unit once."""
        return tuple({planned.unit.id: planned.unit for planned in self.finals}.values())

    @property
    def budget(self) -> Budget:
        """What each unit may spend."""
        return self.loaded.suite.budget

    def selection(self) -> Selection:
        """The trivial selection of a suite without search: every slot gets its method's parameters as declared."""
        suite = self.loaded.suite
        entries = [
            SelectionEntry(slot=p.slot, params=p.unit.params, unit=p.unit.id, ranked=p.ranked) for p in self.finals
        ]
        return Selection(suite_hash=suite.hash, engine=suite.engine, entries=entries)


def make_plan(loaded: LoadedSuite, data: DatasetRef) -> Plan:
    """Enumerate a suite's units on a given version of its data; raises `UsageError` with the line of what is wrong."""
    dataset = dataset_of(loaded)
    _check(loaded, dataset)
    methods = {name: _method(loaded, name) for name in loaded.suite.methods}
    params = {name: _params(loaded, name, method) for name, method in methods.items()}
    finals = [
        Planned(
            slot,
            _unit(loaded, slot, methods[slot.method], params[slot.method], data),
            methods[slot.method].ranked,
        )
        for slot in _slots(loaded, methods)
    ]
    return Plan(loaded, tuple(finals))


def unprepared(dataset: Dataset) -> DatasetRef:
    """Stands for data that nobody prepared yet, so that a plan can be drawn without it."""
    return DatasetRef(name=dataset.name, version=dataset.version, checksum="unprepared")


def task_of(dataset: Dataset, size: tuple[int, ...]) -> Task:
    """The task that a dataset poses at a training size."""
    return Task(dataset.name, dataset.dimension, dataset.channels, dataset.classes, size)


def _slots(loaded: LoadedSuite, methods: dict[str, type[Method]]) -> Iterator[Slot]:
    """Seeds outermost, so that a table is balanced at any time; a ceiling once per seed."""
    suite = loaded.suite
    for seed in suite.seeds:
        for name in (name for name, method in methods.items() if method.labels == "all"):
            yield Slot(method=name, labelled=None, subset=0, seed=seed)
        for subset in suite.subsets:
            for labelled in suite.labelled:
                for name in (name for name, method in methods.items() if method.labels == "subset"):
                    yield Slot(method=name, labelled=labelled, subset=subset, seed=seed)


def _unit(loaded: LoadedSuite, slot: Slot, method: type[Method], params: MethodParams, data: DatasetRef) -> Unit:
    return Unit(
        method=slot.method,
        method_version=method.version,
        params=params.model_dump(mode="json"),
        dataset=data,
        preprocessing=loaded.suite.preprocessing,
        labelled=slot.labelled,
        subset=slot.subset,
        seed=slot.seed,
        engine=loaded.suite.engine_of(slot.method),
        budget=loaded.suite.budget,
    )


def dataset_of(loaded: LoadedSuite) -> Dataset:
    """The suite's dataset; an unknown name is an error at its line."""
    try:
        return load_dataset(loaded.suite.dataset)
    except UsageError as error:
        raise loaded.error(("dataset",), str(error)) from None


def _method(loaded: LoadedSuite, name: str) -> type[Method]:
    try:
        return load_method(name)
    except UsageError as error:
        raise loaded.error(("methods", name), str(error)) from None


def _params(loaded: LoadedSuite, name: str, method: type[Method]) -> MethodParams:
    try:
        return method.Params.model_validate(loaded.suite.methods[name].params)
    except ValidationError as error:
        raise loaded.invalid(("methods", name, "params"), error, method.Params) from None


def _check(loaded: LoadedSuite, dataset: Dataset) -> None:
    suite = loaded.suite
    if len(suite.preprocessing.size) != dataset.dimension:
        raise loaded.error(
            ("preprocessing", "size"),
            f"{dataset.name} is {dataset.dimension}D, so size has {dataset.dimension} numbers",
        )
    most = len(dataset.splits["train"])
    for index, labelled in enumerate(suite.labelled):
        if labelled >= most:
            raise loaded.error(
                ("labelled", index),
                f"{labelled} labelled patients leave no unlabelled ones: {dataset.name} trains on {most} patients",
            )
