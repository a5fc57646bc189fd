"""Command lines in processes forked from this one, which has imported what they need: a kill costs no import."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import NoReturn

from harness.cli import main
from tests.chaos.hook import RUN

CODES = frozenset({0, 64, 65, 69, 70, 71, 73, 74, 75, 76, 77, 130})
"""docs/reference/exit-codes.md."""


def preload():
    """Import what commands use, but do not use it: what forks has no threads."""
    for name in ("harness.audit", "harness.execution.inline", "harness.report.page", "harness.search.run", "mlflow"):
        import_module(name)


@dataclass(frozen=True)
class Done:
    """How a command ended: exit code (minus a signal), and the end of what it printed."""

    code: int
    output: str

    def faults(self, *signals: int) -> list[str]:
        """What no command may do; signals: those that may have ended it."""
        bad = self.code not in CODES and -self.code not in signals
        return [str(self)] if bad or "Traceback (most recent call last)" in self.output else []


def call(*arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """What `harness ARGUMENTS` does, once it has ended."""
    return fork(partial(main, list(map(str, arguments))), cwd, env or {})


def fork(function: Callable[[], object], cwd: Path, env: Mapping[str, str]) -> Done:
    """Call a function in a folder, in a process that leads a group of its own, and wait for its end."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        _become(function, cwd, env)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Done(code, (cwd / "output.txt").read_text(encoding="utf-8", errors="replace")[-3000:])


def _become(function: Callable[[], object], cwd: Path, env: Mapping[str, str]) -> NoReturn:
    code: object = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: it does not outlive the campaign
        os.setpgid(0, 0)
        os.chdir(cwd)
        os.environ.update({RUN: str(os.getpid()), **env})
        output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        function()
        code = 0
    except SystemExit as leaving:
        code = leaving.code
    except BaseException:  # noqa: BLE001 - nothing may come back to the campaign
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        os._exit(code if isinstance(code, int) else 1)
