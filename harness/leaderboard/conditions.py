"""What every number of one table shares, and the engine settings that a method declares for itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness.records.schema import Engine, Environment, Run


@dataclass(frozen=True, order=True)
class Conditions:
    """Two runs that differ in any of these fields never share a table.

    cuda:          "none" on a CPU.
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
    budget_amount: float
    budget_currency: str
    protocol_version: int

    @classmethod
    def of(cls, run: Run, environment: Environment) -> Conditions:
        """Conditions under which `run` ran in `environment`."""
        return cls(
            device_model=environment.device_model,
            device_type=environment.device_type,
            threads=environment.threads,
            precision=environment.precision,
            torch=environment.torch,
            cuda=environment.cuda or "none",
            dataset=run.dataset.name,
            dataset_version=run.dataset.version,
            data_checksum=environment.data_checksum,
            preprocessing=str(run.preprocessing),
            budget_amount=run.budget.amount,
            budget_currency=run.budget.currency,
            protocol_version=run.protocol_version,
        )


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Conditions))


def differing(groups: Sequence[Conditions]) -> list[str]:
    """Names of the fields that take more than one value over `groups`."""
    values = [asdict(group) for group in groups]
    return [name for name in FIELDS if len({value[name] for value in values}) > 1]


def describe(conditions: Conditions, names: Sequence[str]) -> str:
    """The named fields in words: "torch 2.13.0, budget amount 300"; checksums by their first ten digits."""
    values = asdict(conditions)
    return ", ".join(f"{name.replace('_', ' ')} {_short(name, values[name])}" for name in names)


def _short(name: str, value: object) -> str:
    if name == "data_checksum":
        return str(value)[:10]
    return f"{value:g}" if isinstance(value, float) else str(value)


def describe_differences(engines: Iterable[Engine], usual: Engine) -> str:
    """Name and value of each setting, as in "optimiser.nesterov = True; batch_size = 8"; empty where none differs.

    Where studies of a search chose several values, all of them: "optimiser.learning_rate = 0.03 or 0.1".
    """
    settings, common = [_flatten(engine) for engine in engines], _flatten(usual)
    names = dict.fromkeys(name for own in (common, *settings) for name in own)  # what is None stands in none of them
    values = {name: list(dict.fromkeys(str(own.get(name)) for own in settings)) for name in names}
    return "; ".join(f"{name} = {' or '.join(own)}" for name, own in values.items() if own != [str(common.get(name))])


def _flatten(engine: Engine) -> dict[str, Any]:
    """Settings with dotted names: {"batch_size": 24, "optimiser.nesterov": False, ...}."""
    settings = engine.model_dump(mode="json")
    return {f"optimiser.{name}": value for name, value in settings.pop("optimiser").items()} | settings
