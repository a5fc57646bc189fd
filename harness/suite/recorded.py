"""Finds what is on record, by the names that people type. Loads no torch: reading records needs none."""

from __future__ import annotations

from pathlib import Path

from harness.api.errors import UsageError
from harness.records.run_folder import UnitFolder
from harness.records.suite_folder import RunStore
from harness.suite.load import load_suite


def open_records(suite: str, runs: Path) -> RunStore:
    """The records of a suite, given by its name or its YAML file; needs neither data nor, for a name, the file.

    Raises `UsageError` for an unknown suite and for one that never ran here.
    """
    recorded = runs / suite
    if suite == recorded.name and (recorded / "suites").is_dir():
        return RunStore.open(recorded)
    return RunStore.open(runs / load_suite(suite).suite.name)


def recorded_slots(store: RunStore) -> dict[str, str]:
    """Slot (ua_mt/7/0/1) -> unit id, in the order of the current selection."""
    return {str(entry.slot): entry.unit for entry in store.selection().entries}


def find_recorded(store: RunStore, name: str) -> UnitFolder:
    """A recorded unit by its slot in the current selection, its id, or the beginning of its id."""
    slots = recorded_slots(store)
    wanted = slots.get(name, name)
    found = [folder for folder in store.folders() if wanted and folder.id.startswith(wanted)]
    if len(found) != 1:
        some = ", ".join(list(slots)[:4])
        raise UsageError(f"{name!r} names {len(found)} units in {store.root}; use an id or a slot such as {some}")
    return found[0]
