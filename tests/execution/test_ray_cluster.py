from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from harness.api.errors import ServiceError
from harness.execution import ray as joining
from harness.execution.ray import ray_cluster, read_address


def test_an_address_or_a_file_that_announces_it(tmp_path):
    assert read_address("node1:6379") == ("node1:6379", 1, 0.0)
    (tmp_path / "address").write_text("198.18.77.1:41234 2 120\n")
    assert read_address(str(tmp_path / "address")) == ("198.18.77.1:41234", 2, 120.0)


def test_a_ray_without_a_cpu_is_refused(monkeypatch):
    head = SimpleNamespace(cluster_resources=lambda: {"GPU": 1.0})
    monkeypatch.setattr(joining, "joined_ray", lambda _: nullcontext(head))
    with pytest.raises(ServiceError, match="has no CPU to run on"), ray_cluster("head:6379", None, 5):
        pass
