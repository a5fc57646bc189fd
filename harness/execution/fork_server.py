"""Runs in processes that are forked from one which has imported torch: each starts at once.

The fork server is a process of its own, so nothing of the driver is forked: no thread, no notebook, no CUDA. It starts
no thread, never touches CUDA and never runs anything in parallel (OpenMP's threads do not survive a fork), so a process
forked from it may do all of that.

An order comes with two open files: the log of the run, and a pipe on which the server says how the process ended. A
pipe that ends without a word says that the server itself is gone. Its processes notice that they lost their parent,
write checkpoints and leave, as they do when a driver dies. Their runs go on as commands of their own.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import wait
from typing import BinaryIO, NoReturn

from harness.api.errors import DiskError
from harness.execution.process import (
    Order,
    RunProcess,
    ServerLostError,
    Started,
    harness_command,
    harness_environment,
    start_command,
)
from harness.records.ledger import BEAT_SECONDS
from harness.train.stop import SIGNALS

MOST_BYTES = 65536
"""Of an order: a few paths and numbers."""
NEEDED_LATE = ("pandas", "pyarrow.parquet")
"""What a run imports at its first checkpoint: the server does so once the first runs are on their way.

pyarrow brings a thread with it, of a jemalloc that nobody uses here, and which jemalloc itself puts right after a fork.
"""


class ForkServer:
    """The driver's side: starts the server, which imports meanwhile, and gives it orders. Ends with the block."""

    def __init__(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                harness_command("fork-server", str(theirs.fileno())),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                env=harness_environment(),
            )

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_error: object) -> None:
        self._channel.close()
        self._process.kill()  # it may import for seconds; a run that is left over sees that its parent is gone
        self._process.wait()

    @property
    def pid(self) -> int:
        """Of the parent of the runs."""
        return self._process.pid

    def start(self, order: Order) -> RunProcess:
        return RunProcess(order, self._fork)

    def _fork(self, order: Order, log: BinaryIO) -> Started:
        """The process of an order; a command of its own where the server is gone."""
        reader, writer = os.pipe()
        message = json.dumps([order.arguments(), order.variables(self.pid)]).encode()
        try:
            socket.send_fds(self._channel, [message], [log.fileno(), writer])
        except OSError:
            os.close(reader)
            return start_command(order, log)
        finally:
            os.close(writer)
        return ForkedProcess(reader)


class ForkedProcess:
    """A process of the server. reader: the pipe on which the server says how it ended."""

    def __init__(self, reader: int) -> None:
        self._pipe = os.fdopen(reader, "rb")
        self._code: int | None = None

    @property
    def end(self) -> int:
        return self._pipe.fileno()

    def wait(self, timeout: float | None = None) -> int:
        if not wait([self.end], timeout):
            raise subprocess.TimeoutExpired("fork-server", timeout or 0.0)
        with self._pipe:
            code = self._pipe.read()
        if not code:
            raise ServerLostError
        return int(code)


class Server:
    """The server's side: forks a process for each order, until the driver is gone.

    channel:     to the driver.
    run_command: does what the command line does with these arguments, and exits.
    """

    def __init__(self, channel: socket.socket, run_command: Callable[[Sequence[str]], None]) -> None:
        self._channel = channel
        self._run_command = run_command
        self._woken, self._wake = socket.socketpair()
        self._ends: dict[int, int] = {}
        self._late = list(NEEDED_LATE)

    def serve(self) -> None:
        """Return once the driver has closed its end, or died."""
        driver = os.getppid()
        self._watch_signals()
        while os.getppid() == driver and self._serve_once():
            pass
        signal.set_wakeup_fd(-1)  # the socket goes before the process does, and a run may end in between

    def _serve_once(self) -> bool:
        """Whether the driver still holds its end."""
        idle = self._late if self._ends else []
        ready = wait([self._channel, self._woken], 0.0 if idle else BEAT_SECONDS)
        if idle and not ready:
            import_module(idle.pop())
        if self._woken in ready:
            self._woken.recv(MOST_BYTES)
            self._report_ends()
        if self._channel in ready:
            message, files, *_ = socket.recv_fds(self._channel, MOST_BYTES, 2)
            if not message:
                return False
            self._start(*json.loads(message), *files)
        return True

    def _watch_signals(self) -> None:
        # a signal to a whole job is for its runs: they are born with it blocked, until they have a handler for it
        signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler nothing is written for it
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def _report_ends(self) -> None:
        for pid, end in list(self._ends.items()):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                del self._ends[pid]
                report(end, os.waitstatus_to_exitcode(status))

    def _start(self, arguments: Sequence[str], variables: Mapping[str, str], log: int, end: int) -> None:
        try:
            pid = os.fork()
        except OSError as error:
            os.write(log, f"error: cannot start a process: {error.strerror}\n".encode())
            report(end, DiskError.exit_code)
        else:
            if pid == 0:
                self._become_run(arguments, variables, log, end)
            self._ends[pid] = end
        os.close(log)

    def _become_run(self, arguments: Sequence[str], variables: Mapping[str, str], log: int, end: int) -> NoReturn:
        code: object = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for mine in (self._channel, self._woken, self._wake):
                mine.close()
            for pipe in (*self._ends.values(), end):  # open here, they would hide from the driver that the server died
                os.close(pipe)
            for stream in (1, 2):
                os.dup2(log, stream)
            os.close(log)
            os.environ.update(variables)
            self._run_command(arguments)
        except SystemExit as leaving:
            code = leaving.code
        except BaseException:  # noqa: BLE001 - nothing may come back to the loop of the server
            traceback.print_exc()
        finally:
            for text in (sys.stdout, sys.stderr):
                with suppress(OSError, ValueError):
                    text.flush()
            os._exit(code if isinstance(code, int) else 1)


def report(end: int, code: int) -> None:
    """Write an exit code into a pipe to the driver, and close it."""
    with suppress(BrokenPipeError):  # it does not want to know any more
        os.write(end, str(code).encode())
    os.close(end)
