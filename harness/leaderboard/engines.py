"""Engine settings in which a method differs from its suite's."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from harness.records.schema import Engine


def describe_differences(engines: Iterable[Engine], usual: Engine) -> str:
    """Name and value of each setting, as in "optimiser.nesterov = True; batch_size = 8"; empty where none differs.

    Where studies of a search chose several values, all of them: "optimiser.learning_rate = 0.03 or 0.1".
    """
    settings = [_flatten(engine) for engine in engines]
    return "; ".join(_differences(settings, _flatten(usual)))


def _differences(settings: list[dict[str, Any]], usual: dict[str, Any]) -> Iterator[str]:
    for name, value in usual.items():
        values = list(dict.fromkeys(str(own[name]) for own in settings))
        if values != [str(value)]:
            yield f"{name} = {' or '.join(values)}"


def _flatten(engine: Engine) -> dict[str, Any]:
    """Settings with dotted names: {"batch_size": 24, "optimiser.nesterov": False, ...}."""
    flat: dict[str, Any] = {}
    for name, value in engine.model_dump(mode="json").items():
        if isinstance(value, dict):
            flat.update({f"{name}.{inner}": setting for inner, setting in value.items()})
        else:
            flat[name] = value
    return flat
