import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from harness.execution import fork_server
from harness.execution.fork_server import ForkServer
from harness.execution.process import Order
from tests.support import LIMIT_SECONDS, command_environment, stat_of, wait_until

pytestmark = pytest.mark.slow

SERVER = """
import json, os, resource, signal, socket, sys, time
from harness.execution.fork_server import Server

def act(arguments):
    what, _, number = arguments[1].partition("-")
    signal.pthread_sigmask(signal.SIG_UNBLOCK, signal.valid_signals())
    if what == "exit":
        print("error: as it says")
        sys.exit(int(number))
    if what == "leave":
        os._exit(int(number))
    if what == "signal":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.kill(os.getpid(), int(number))
    if what == "raise":
        raise RuntimeError("nobody catches this")
    if what == "sleep":
        print(os.getpid(), flush=True)
        time.sleep(600)
    names = ("HARNESS_PARENT", "HARNESS_DRIVER", "CUDA_VISIBLE_DEVICES", "OF_THE_DRIVER")
    files = {os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if int(name) > 2
             and os.path.exists(f"/proc/self/fd/{name}")}
    seen = {"variables": {name: os.environ.get(name) for name in names}, "files": sorted(files),
            "parent": os.getppid(), "group": os.getpgrp(), "input": sys.stdin.read()}
    print(json.dumps(seen))
    sys.exit(0)

Server(socket.socket(fileno=int(sys.argv[1])), act).serve()
"""


def server_command(_verb, channel):
    return [sys.executable, "-c", SERVER, channel]


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(fork_server, "harness_command", server_command)
    monkeypatch.setenv("OF_THE_DRIVER", "kept")
    with ForkServer() as server:
        yield server


def order_of(tmp_path, run, devices=None):
    folder = tmp_path / "suite" / "runs" / run
    folder.mkdir(parents=True)
    suite = tmp_path / "suite" / "suites" / "s.yaml"
    return Order(run, str(suite), str(tmp_path / "cache"), 30.0, os.getpid(), devices=devices)


def outcome_of(run):
    outcome = run.wait(LIMIT_SECONDS)
    assert outcome is not None, "it runs for ever"
    return outcome


def test_each_process_says_how_it_ended(server, tmp_path):
    expected = {
        "exit-0": ("ok", 0),
        "exit-70": ("failed", 70),
        "exit-73": ("busy", 73),
        "exit-75": ("interrupted", 75),
        "exit-64": ("refused", 64),
        "leave-3": ("refused", 3),
        "signal-9": ("killed", 9),
        "signal-11": ("killed", 11),
        "raise": ("refused", 1),
    }
    sleeper = server.start(order_of(tmp_path, "sleep"))
    runs = {name: server.start(order_of(tmp_path, name)) for name in expected}
    ends = {name: outcome_of(run) for name, run in runs.items()}
    assert {name: (end.status, end.exit_code) for name, end in ends.items()} == expected
    assert ends["exit-64"].message == "as it says"
    assert "RuntimeError: nobody catches this" in ends["raise"].message
    assert sleeper.wait(0) is None, "a death takes nobody with it"
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    assert len(children) == 1, "the ended ones are no zombies"


def test_a_process_has_its_own_variables_and_no_file_of_the_server(server, tmp_path):
    orders = [order_of(tmp_path, f"look-{devices}", devices) for devices in ("0", "GPU-7a")]
    waits = server.start(order_of(tmp_path, "sleep"))
    runs = [server.start(order) for order in orders]
    assert [outcome_of(run).status for run in runs] == ["ok", "ok"]
    for order in orders:
        seen = json.loads(order.folder.log.read_text())
        variables = [str(server.pid), str(os.getpid()), order.devices, "kept"]
        assert list(seen["variables"].values()) == variables
        assert (seen["parent"], seen["group"], seen["input"]) == (server.pid, os.getpgrp(), "")
        assert [name for name in seen["files"] if name.startswith(("socket", "pipe")) or "log" in name] == []
    assert waits.wait(0) is None


def test_signals_of_a_whole_job_leave_the_server_alive(server, tmp_path):
    assert outcome_of(server.start(order_of(tmp_path, "exit-0"))).status == "ok"
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        os.kill(server.pid, number)
    assert outcome_of(server.start(order_of(tmp_path, "exit-70"))).status == "failed"


def test_no_signal_is_written_into_a_socket_of_a_server_that_leaves():
    ours, theirs = socket.socketpair()
    ours.close()
    script = f"{SERVER}sys.exit(signal.set_wakeup_fd(-1) + 1)"
    command = [sys.executable, "-c", script, str(theirs.fileno())]
    subprocess.run(command, env=command_environment(), pass_fds=[theirs.fileno()], check=True)


DRIVER = """
import sys, time
from harness.execution import fork_server
from harness.execution.process import Order
from tests.execution.test_fork_server import server_command

fork_server.harness_command = server_command
server = fork_server.ForkServer()
order = Order("sleep", sys.argv[1], "cache", 30.0, 1)
server.start(order)
print(server.pid, flush=True)
time.sleep(600)
"""


def test_a_server_leaves_when_its_driver_is_killed(tmp_path):
    order = order_of(tmp_path, "sleep")
    command, pipe = [sys.executable, "-", order.suite], subprocess.PIPE  # a driver that no file holds, as a notebook
    with subprocess.Popen(command, env=command_environment(), stdin=pipe, stdout=pipe, text=True) as driver:
        assert driver.stdin is not None
        assert driver.stdout is not None
        driver.stdin.write(DRIVER)
        driver.stdin.close()
        server = int(driver.stdout.readline())
        wait_until(lambda: order.folder.log.exists() and order.folder.log.read_text(), "it runs")
        child = int(order.folder.log.read_text())
        try:
            driver.kill()
            wait_until(
                lambda: int(stat_of(child)[1]) not in (server, driver.pid), "the run sees that its parent is gone"
            )
            wait_until(lambda: not Path(f"/proc/{server}").exists() or stat_of(server)[0] == "Z", "the server is gone")
        finally:
            os.kill(child, signal.SIGKILL)
