import importlib.util

import pytest

from harness.api.errors import ServiceError, UsageError
from harness.execution.ray import local_ray, read_address
from tests.support import require


def test_an_address_or_a_file_that_announces_it(tmp_path):
    assert read_address("node1:6379") == ("node1:6379", 1, 0.0)
    (tmp_path / "address").write_text("198.18.77.1:41234 2 120\n")
    assert read_address(str(tmp_path / "address")) == ("198.18.77.1:41234", 2, 120.0)


@pytest.mark.parametrize("text", ["", "198.18.77.1:41234 two 120"])
def test_a_file_that_announces_nothing_is_refused(text, tmp_path):
    (tmp_path / "address").write_text(text)
    with pytest.raises(UsageError, match="number of nodes"):
        read_address(str(tmp_path / "address"))


@pytest.mark.parametrize(("folder", "why"), [("/tmp/" + 30 * "x", "too long"), ("/proc/none", "cannot be written")])
def test_a_folder_without_room_for_sockets_is_named(folder, why, monkeypatch):
    require("ray", importlib.util.find_spec("ray") is not None, "Ray is not installed")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    with pytest.raises(ServiceError, match=f"RAY_TMPDIR={folder} .*{why}"), local_ray(1):
        pass
