"""A full or read-only disk, files that may not grow, an MLflow server that fails: nothing is lost, and it goes on."""

import os
import resource
import signal
import socket
import struct
from functools import partial
from pathlib import Path
from random import Random
from typing import NoReturn

from harness.cli import main
from tests.chaos.kills import SUITES, facts, uninterrupted
from tests.chaos.process import call, fork
from tests.cli.ground import remount, small_disk
from tests.train.tiny import write_suite

ANSWERS = {
    "503": b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
    "other JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull",
    "reset": b"",
}


def try_around(seed: int, root: Path) -> tuple[list[str], list[str]]:
    """One bad surrounding: its kind, and faults."""
    random, expected = Random(f"around {seed}"), uninterrupted(root.parent, "plain")
    kind = random.choice(["full disk", "read-only disk", "file size", *ANSWERS])
    if kind in ANSWERS:
        store = root.parent / "whole-plain" / "runs" / "tiny"
        faults = _track(root, store, ANSWERS[kind], random.choice([1, 3, 1000]))
        return [f"MLflow {kind}"], [*faults, *(["records changed"] if facts(store) != expected else [])]
    suite = str(write_suite(root, **SUITES["plain"]))
    with small_disk(root / "disk", f"size={random.randint(4, 400)}k" if kind == "full disk" else "size=64m") as disk:
        line = ["run", "--executor", "inline", "--no-track", "--suite", suite, "--runs", str(disk)]
        done = fork(partial(_limited, 10**9 if kind == "full disk" else random.randint(100, 60_000), line), root, {})
        if kind == "read-only disk":
            remount(disk, "ro")
            done = call(*line, cwd=root)
        remount(disk, "rw,size=64m")
        again = call(*line, cwd=root)
        whole = again.code == 0 and facts(disk / "tiny") == expected
    return [kind], [*done.faults(), *([] if whole else [f"does not go on: {again}"])]


def _limited(most_bytes: int, line: list[str]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
    main(line)


def _track(root: Path, store: Path, answer: bytes, requests: int) -> list[str]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = os.fork()
        if server == 0:
            _serve(listening, answer, requests)
        uri = f"http://127.0.0.1:{listening.getsockname()[1]}"
    patience = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
    done = call("track", store, "--tracking-uri", uri, cwd=root, env=patience)
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    return done.faults() or ([] if done.code == 69 else [str(done)])


def _serve(listening: socket.socket, answer: bytes, requests: int) -> NoReturn:
    """Answer so many requests, then be gone."""
    for _ in range(requests):
        with listening.accept()[0] as connection:
            if answer:
                connection.recv(65536)
                connection.sendall(answer)
            else:  # closing resets it
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    os._exit(0)
