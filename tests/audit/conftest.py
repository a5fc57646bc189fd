"""The honest and the cheating methods, installed for this process and for those that tests start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.train.fixtures import make_tiny, one_thread
from tests.train.fixtures import plugin_folder as training_plugin
from tests.train.tiny import write_metadata

__all__ = ["make_tiny", "one_thread", "training_plugin"]

CHEATS = {
    "cheat_semi": "Semi",
    "cheat_floor": "Floor",
    "cheat_ceiling": "Ceiling",
    "cheat_open": "Open",
    "cheat_forges": "Forges",
    "cheat_peeks": "Peeks",
    "cheat_reads_file": "ReadsFile",
    "cheat_long_start": "LongStart",
    "cheat_trains_at_validations": "TrainsAtValidations",
    "cheat_other_thread": "OtherThread",
    "cheat_noisy": "Noisy",
    "cheat_late_noise": "LateNoise",
    "cheat_in_place": "InPlace",
    "cheat_pastes": "Pastes",
    "cheat_boasts": "Boasts",
    "cheat_lazy": "Lazy",
    "cheat_grows": "Grows",
}


@pytest.fixture(scope="module")
def plugin_folder(training_plugin: Path) -> Path:
    """The plug-in of the training tests, and the cheats beside it."""
    shutil.copy(Path(__file__).with_name("cheats.py"), training_plugin / "cheats_plugin.py")
    points = "".join(f"{name} = cheats_plugin:{kind}\n" for name, kind in CHEATS.items())
    write_metadata(training_plugin, f"[harness.methods]\n{points}", name="cheats-plugin")
    return training_plugin
