"""Real processes for tests of the store: forked, so that hundreds of them cost little."""

import os
import resource
import signal
from contextlib import contextmanager
from multiprocessing import get_context

FORK = get_context("fork")


def forked(work, *arguments):
    child = FORK.Process(target=work, args=arguments, daemon=True)
    child.start()
    return child


@contextmanager
def no_file_above(size):
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


def kill(child):
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
