import importlib.util
from pathlib import Path

import pytest

from harness.api.errors import ServiceError, UsageError
from harness.execution.ray import local_ray, read_address
from harness.execution.run import ExecuteSettings
from tests.support import require


def test_an_address_or_a_file_that_announces_it(tmp_path: Path):
    assert read_address("node1:6379") == ("node1:6379", 1, 0.0)
    (tmp_path / "address").write_text("198.18.77.1:41234 2 120\n")
    assert read_address(str(tmp_path / "address")) == ("198.18.77.1:41234", 2, 120.0)


@pytest.mark.parametrize("text", ["", "198.18.77.1:41234", "198.18.77.1:41234 two 120", "a b c d"])
def test_a_file_that_announces_nothing_is_refused(text: str, tmp_path: Path):
    (tmp_path / "address").write_text(text)
    with pytest.raises(UsageError, match="number of nodes"):
        read_address(str(tmp_path / "address"))


@pytest.mark.parametrize("name", ["nowhere", "/no/such:1", "node1"])
def test_what_is_neither_is_refused(name: str):
    with pytest.raises(UsageError, match=f"--ray-address {name}: neither HOST:PORT"):
        read_address(name)


def test_a_ray_to_join_is_not_for_one_process():
    with pytest.raises(UsageError, match="--executor inline"):
        ExecuteSettings(executor="inline", ray_address="node1:6379")


@pytest.mark.parametrize(("folder", "why"), [("/tmp/" + 30 * "x", "too long"), ("/proc/none", "cannot be written")])
def test_a_folder_without_room_for_sockets_is_named(folder: str, why: str, monkeypatch: pytest.MonkeyPatch):
    require("ray", importlib.util.find_spec("ray") is not None, "Ray is not installed")
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.setenv(name, "unused")
    monkeypatch.setenv("RAY_TMPDIR", folder)
    with pytest.raises(ServiceError, match=f"RAY_TMPDIR={folder} .*{why}"), local_ray(1):
        pass
