"""Real processes for tests of the store: forked, so that hundreds of them cost little."""

import os
import signal
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

FORK = get_context("fork")


def forked(work: Callable[..., object], *arguments: object) -> BaseProcess:
    child = FORK.Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


def kill(child: BaseProcess) -> None:
    """kill -9, and wait until the system has let go of it."""
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
