"""The honest and the cheating methods, installed for this process and for those that tests start."""

import shutil

import pytest

from tests.audit import cheats
from tests.train.fixtures import make_tiny, one_thread
from tests.train.fixtures import plugin_folder as training_plugin
from tests.train.tiny import write_metadata

__all__ = ["make_tiny", "one_thread", "training_plugin"]


@pytest.fixture(scope="module")
def plugin_folder(training_plugin):
    shutil.copy(cheats.__file__, training_plugin / "cheats_plugin.py")
    kinds = [kind for kind in vars(cheats).values() if isinstance(kind, type) and issubclass(kind, cheats.Semi)]
    points = "".join(f"{kind.name} = cheats_plugin:{kind.__name__}\n" for kind in kinds if "name" in vars(kind))
    write_metadata(training_plugin, f"[harness.methods]\n{points}", name="cheats-plugin")
    return training_plugin
