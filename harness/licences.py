"""python -m harness.licences: the packages that are needed at run time, with their licences, as a markdown table."""

import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution

from packaging.requirements import Requirement


def needed(name: str = "harness-ssl", extras: frozenset[str] = frozenset({"full"})) -> Mapping[str, Distribution]:
    """What a package requires, and what that requires in turn, in this environment; by name, itself left out.

    Args:
        name: The package.
        extras: Those of its optional parts that count.
    """
    packages: dict[str, Distribution] = {}
    waiting = list(_requirements(distribution(name), extras))
    while waiting:
        wanted = waiting.pop()
        key = wanted.name.lower().replace("_", "-")
        try:
            own = distribution(wanted.name)
        except PackageNotFoundError:  # optional parts that nobody asked for
            continue
        if key not in packages or wanted.extras:
            waiting += _requirements(own, frozenset(wanted.extras))
        packages[key] = own
    packages.pop(name, None)  # its parts name each other
    return dict(sorted(packages.items()))


def licence_of(package: Distribution) -> str:
    """The licence that a package's metadata name: an expression, else its classifiers, else the first line of text."""
    classifiers = [line.split(" :: ") for line in _fields(package, "Classifier") if line.startswith("License ::")]
    named = ", ".join(words[-1] for words in classifiers if len(words) > 2)
    stated = [*_fields(package, "License-Expression"), *filter(None, [named]), *_fields(package, "License"), ""]
    return stated[0].strip().partition("\n")[0] or "not stated"


def licence_table() -> str:
    """Package, version and licence, a row for each."""
    rows = [f"| {name} | {own.version} | {licence_of(own)} |" for name, own in needed().items()]
    return "\n".join(["| package | version | licence |", "|---|---|---|", *rows])


def _fields(package: Distribution, name: str) -> list[str]:
    return package.metadata.get_all(name) or []


def _requirements(package: Distribution, extras: frozenset[str]) -> Iterator[Requirement]:
    for line in package.requires or []:
        wanted = Requirement(line)
        if wanted.marker is None or any(wanted.marker.evaluate({"extra": extra}) for extra in {"", *extras}):
            yield wanted


if __name__ == "__main__":
    sys.stdout.write(licence_table() + "\n")
