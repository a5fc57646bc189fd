"""Finds methods and datasets: a file in `methods/` or `benchmarks/`, or an entry point of an installed package."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, TypeVar

import harness
from harness.api.errors import DataError, UsageError, suggest
from harness.records.schema import BY_FIRST_VERSION
from harness.suite.blame import blame
from harness.suite.prepared import prepared_dataset, prepared_names

if TYPE_CHECKING:
    from harness.api.dataset import Dataset
    from harness.api.method import Method

T = TypeVar("T")
L = TypeVar("L")


@dataclass(frozen=True)
class Source:
    """Where a plug-in comes from, without importing it: `module` or `module:attribute`.

    clash: why its name cannot be used, where several plug-ins have it.
    """

    name: str
    target: str
    origin: str
    clash: str = ""


def method_sources() -> Mapping[str, Source]:
    """All methods by name, unimported."""
    return _sources("methods", "harness.methods")


def dataset_sources() -> Mapping[str, Source]:
    """All datasets by name, unimported."""
    return _sources("benchmarks", "harness.datasets")


def load_method(name: str) -> type[Method]:
    """The method class called `name`; imports torch. Raises `UsageError` with the nearest names for a typo."""
    from harness.api.method import Method

    return _load(name, method_sources(), Method)


def load_dataset(name: str) -> Dataset:
    """An instance of the dataset called `name`, or what its prepared cache says of it where no code does.

    Raises `UsageError` with the nearest names for a typo.
    """
    from harness.api.dataset import Dataset

    known, prepared = dataset_sources(), prepared_names()
    if name in prepared and name not in known:
        return prepared_dataset(name)
    if name not in known:
        own = "scans of your own are prepared by `harness data prepare NAME --from DIR`"
        raise UsageError(f"unknown dataset {name!r}; {suggest(name, [*known, *prepared])}; {own}")
    return _load(name, known, Dataset)()


def load_datasets() -> tuple[list[Dataset], dict[str, str]]:
    """An instance of every dataset that can be loaded, by name, and why the others cannot."""
    return _loaded(load_dataset, {*dataset_sources(), *prepared_names()})


def load_methods() -> tuple[list[type[Method]], dict[str, str]]:
    """Every method that can be loaded, by name, and why the others cannot: a broken plug-in harms no other one."""
    return _loaded(load_method, method_sources())


def _loaded(load: Callable[[str], L], names: Iterable[str]) -> tuple[list[L], dict[str, str]]:
    whole, broken = [], {}
    for name in sorted(names):
        try:
            whole.append(load(name))
        except (UsageError, DataError) as error:
            broken[name] = str(error)
    return whole, broken


def _sources(package: str, group: str) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    for module in pkgutil.iter_modules(_own_package(package).__path__):
        if not module.ispkg and not module.name.startswith("_"):
            sources[module.name] = Source(module.name, f"{package}.{module.name}", f"{package}/{module.name}.py")
    for point in _entry_points(group, tuple(sys.path)):
        origin = f"{point.dist.name if point.dist else 'an installed package'} ({point.value})"
        source = Source(point.name, point.value, origin)
        if known := sources.get(point.name):
            twice = f"{point.name!r} is defined twice: by {known.origin} and by {origin}"
            source = replace(known, clash=f"{twice}; rename one or uninstall the package")
        sources[point.name] = source
    return sources


@lru_cache
def _entry_points(group: str, _search_path: tuple[str, ...]) -> EntryPoints:
    return entry_points(group=group)


def _own_package(name: str) -> ModuleType:
    """Our package of this name. Raises `UsageError` where a program imported another one before `harness`."""
    package = importlib.import_module(name)
    own = Path(harness.__file__).resolve().parent.parent / name
    if own not in (Path(folder).resolve() for folder in package.__path__):
        raise UsageError(
            f"a package {name!r} of another program ({package.__file__}) was imported before harness, whose package "
            f"{name!r} it hides; import harness first, or rename the other one"
        )
    return package


def _load(name: str, known: Mapping[str, Source], base: type[T]) -> type[T]:
    if name not in known:
        raise UsageError(f"unknown {base.__name__.lower()} {name!r}; {suggest(name, known)}")
    source = known[name]
    if source.clash:
        raise UsageError(source.clash)
    module_name, _, attribute = source.target.partition(":")
    module = _import(module_name, source)
    if attribute:
        candidates = [getattr(module, attribute, None)]
    else:
        classes = [item for item in vars(module).values() if inspect.isclass(item) and issubclass(item, base)]
        candidates = [item for item in classes if item.__module__ == module_name]
    named = [item for item in candidates if inspect.isclass(item) and getattr(item, "name", None) == source.name]
    if len(named) != 1 or not issubclass(named[0], base):
        raise UsageError(
            f"{source.origin}: expected exactly one {base.__name__} class with name = {source.name!r}, "
            f"found {len(named)}"
        )
    if problem := _class_problem(named[0]):
        raise UsageError(f"{source.origin}: {named[0].__name__}{problem}")
    return named[0]


def _import(module: str, source: Source) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if (error.name or "").startswith("harness.spec"):
            said = f"{source.origin}: written for {BY_FIRST_VERSION}; its contracts are in harness.api now"
            raise UsageError(said) from error
        raise UsageError(f"{source.origin}: cannot be imported ({error}); install what it needs") from error
    except (Exception, SystemExit) as error:  # whatever a plug-in does there ends no other command
        raise UsageError(f"{source.origin}: cannot be imported: {blame(error, {module.partition('.')[0]})}") from error


def _class_problem(kind: type) -> str:
    """What a plug-in's class lacks, as the end of a sentence about it; nothing of it is built."""
    from harness.api.params import MethodParams

    if lacking := sorted(getattr(kind, "__abstractmethods__", ())):
        return f" does not define {' and '.join(lacking)}"
    params = getattr(kind, "Params", MethodParams)
    if not (inspect.isclass(params) and issubclass(params, MethodParams)):
        return f".Params is {_article(params)}; make it a subclass of harness.api.MethodParams"
    given = ("task", "params") if hasattr(kind, "Params") else ()
    try:
        inspect.signature(kind).bind(*given)
    except TypeError as error:
        return f".__init__ must take ({', '.join(('self', *given))}): {error}"
    return ""


def _article(value: object) -> str:
    return f"the class {value.__name__}" if inspect.isclass(value) else f"a {type(value).__name__}"
