"""What every number of one table shares, and the engine settings that a method declares for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.records.ended import Settings
from harness.records.schema import Engine, Environment, Run


@dataclass(frozen=True, order=True)
class Conditions:
    """Two runs that differ in any of these fields never share a table.

    device_model:  "any" under reference steps: a run goes on anywhere, and what its steps buy is the same.
    cuda:          "none" on a CPU.
    calibration:   hash of the header of the calibration that the steps come from; "none" under other budgets.
    preprocessing: training size and resize rule, e.g. "96 x 96 nearest", or the patches of volumes.
    """

    device_model: str
    device_type: str
    threads: int
    precision: str
    torch: str
    cuda: str
    dataset: str
    dataset_version: int
    data_checksum: str
    preprocessing: str
    nsd_tolerance: str
    budget_amount: float
    budget_currency: str
    protocol_version: int
    calibration: str

    @classmethod
    def of(cls, settings: Settings | Run, environment: Environment) -> Conditions:
        return cls(
            **environment.model_dump(exclude={"schema_version", "shown", "cuda", "device_model"}),
            device_model="any" if settings.budget.reference_steps is not None else environment.device_model,
            cuda=environment.cuda or "none",
            dataset=settings.dataset.name,
            dataset_version=settings.dataset.version,
            preprocessing=str(settings.preprocessing),
            nsd_tolerance=show_tolerance(settings.engine),
            budget_amount=settings.budget.amount,
            budget_currency=settings.budget.currency,
            protocol_version=settings.protocol_version,
            calibration=settings.calibration.header if settings.calibration else "none",
        )

    @property
    def budget(self) -> str:
        """In words: "300 device seconds"."""
        return f"{self.budget_amount:g} {self.budget_currency.replace('_', ' ')}"


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Conditions))


def titles(groups: Sequence[Conditions]) -> list[str]:
    """What tells each of `groups` from the others: "torch 2.13.0, budget amount 300"."""
    values = [asdict(group) for group in groups]
    names = [name for name in FIELDS if len({value[name] for value in values}) > 1]
    if "budget_amount" in names and {group.budget_currency for group in groups} == {"reference_steps"}:
        names.remove("budget_amount")
        budgets = [group.budget for group in groups]
    else:
        budgets = []
    texts = [[f"{name.replace('_', ' ')} {_short(name, value[name])}" for name in names] for value in values]
    return [", ".join([*budgets[i : i + 1], *own]) for i, own in enumerate(texts)]


def _short(name: str, value: object) -> str:
    if name in ("data_checksum", "calibration"):
        return str(value)[:10]
    return f"{value:g}" if isinstance(value, float) else str(value)


def setting_titles(groups: Sequence[tuple[Conditions, Engine]]) -> list[str]:
    """As `titles`, with the engine settings: "torch 2.13.0; optimiser.learning_rate = 0.03"."""
    settings = [_flatten(engine) for _, engine in groups]
    names = [
        name
        for name in dict.fromkeys(name for own in settings for name in own)
        if len({str(own.get(name)) for own in settings}) > 1
    ]
    texts = zip(titles([conditions for conditions, _ in groups]), settings, strict=True)
    return ["; ".join([*filter(None, [text]), *(f"{name} = {own.get(name)}" for name in names)]) for text, own in texts]


def show_tolerance(engine: Engine) -> str:
    """Up to which distance two surfaces agree: "1 voxel, 2 mm"."""
    voxels, mm = engine.nsd_tolerance
    return f"{voxels:g} voxel{'s' if voxels != 1 else ''}, {mm:g} mm"


def describe_differences(engines: Iterable[Engine], usual: Engine) -> str:
    """Name and value of each setting, as in "optimiser.nesterov = True; batch_size = 8"; empty where none differs.

    Where studies of a search chose several values, all of them: "... = 0.03 or 0.1".
    """
    settings, common = [_flatten(engine) for engine in engines], _flatten(usual)
    names = dict.fromkeys(name for own in (common, *settings) for name in own)  # what is None stands in none of them
    values = {name: list(dict.fromkeys(str(own.get(name)) for own in settings)) for name in names}
    return "; ".join(f"{name} = {' or '.join(own)}" for name, own in values.items() if own != [str(common.get(name))])


def _flatten(engine: Engine) -> dict[str, Any]:
    settings = engine.model_dump(mode="json")
    return {f"optimiser.{name}": value for name, value in settings.pop("optimiser").items()} | settings
