"""The plug-in on the search path of this process and of those that tests start."""

from tests.train.fixtures import make_tiny, one_thread, plugin_folder

__all__ = ["make_tiny", "one_thread", "plugin_folder"]
