"""Two trees of code beside each other: another commit, a copy of the working tree, and the way to start either."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import REPO, command_environment


@contextmanager
def checkout(commit: str, folder: Path) -> Iterator[Path]:
    """A git worktree of a commit in `folder`, removed at the end."""
    git = ["git", "-C", str(REPO), "worktree"]
    subprocess.run([*git, "add", "--quiet", "--detach", str(folder), commit], check=True, stdin=subprocess.DEVNULL)
    try:
        yield folder
    finally:
        subprocess.run([*git, "remove", "--force", str(folder)], check=True, stdin=subprocess.DEVNULL)


def copy_code(folder: Path) -> Path:
    for package in ("harness", "methods", "benchmarks", "tests"):
        shutil.copytree(REPO / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "results"))
    return folder


def environment_of(tree: Path) -> dict[str, str]:
    """Variables of a process that runs the code of `tree` on one thread, with nothing of the developer's own set-up.

    Raises:
        RuntimeError: The interpreter would take other code.
    """
    environment = command_environment(
        {
            **dict.fromkeys(("HARNESS_DATA", "HARNESS_LOCAL_DATA", "HARNESS_RUNS")),
            "PYTHONPATH": str(tree),
            "OMP_NUM_THREADS": "1",
            "OMP_WAIT_POLICY": "PASSIVE",
        }
    )
    origin = "import harness, methods, benchmarks as b; print(harness.__file__, b.__file__)"
    files = subprocess.run(
        [sys.executable, "-P", "-c", origin], env=environment, check=True, capture_output=True, text=True
    ).stdout
    if not all(Path(file).is_relative_to(tree) for file in files.split()):
        raise RuntimeError(f"the interpreter takes other code than that of {tree}: {files}")
    return environment
