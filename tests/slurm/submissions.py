"""What the tests of submitting stand on: cluster files, submissions on record, and stand-ins for Slurm's commands."""

import os

from harness.execution.session import Session
from harness.records.suite_folder import SuiteFolder
from harness.slurm.cluster import load_cluster
from harness.slurm.record import Submission
from harness.suite.load import load_suite
from harness.suite.plan import make_plan
from tests.search.suites import suite_with, write

CLUSTER = "time: 5\nmemory: 500M\nrun_time: 2\nmax_parallel: 2\nfinish: {memory: 500M, time: 5}\n"


def write_cluster(folder, text=CLUSTER):
    path = folder / "mini.yaml"
    path.write_text(text)
    return path


def cluster_of(folder, text):
    return load_cluster(write_cluster(folder, text))


def submission(*tasks, name="tiny-tasks-1", job="55", at=""):
    kind = "tasks" if tasks else "finish"
    return Submission.model_validate(
        {
            "name": name,
            "job": job,
            "kind": kind,
            "suite": "a" * 64,
            "cluster": "c" * 64,
            "cache": "/scratch/cache/phantom",
            "tasks": list(tasks),
            "runs_at_once": 1,
            "checkpoint_seconds": 30.0,
            "panels": None,
            "at": at,
        }
    )


def stand_in(folder, command, script):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / command
    path.write_text(f"#!/bin/bash\n{script}\n")
    path.chmod(0o755)


def path_with(folder):
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


COUNTED = 'cd "${0%/*}/.."; echo "$@" >> sent; wc -l < sent'
"""An sbatch that gives ids from 1 and notes its options in `sent` beside its folder."""


def stand_in_slurm(folder, partitions, monkeypatch):
    commands = folder / "commands"
    stand_in(commands, "sbatch", COUNTED)
    for command, file in (("squeue", "queue"), ("sacct", "ends")):
        stand_in(commands, command, f'cat "${{0%/*}}/../{file}" 2>/dev/null || true')
    stand_in(commands, "scontrol", f"cat <<'E'\n{partitions}E")
    monkeypatch.setenv("PATH", path_with(commands))


def session_of(tmp_path, cache, **changes):
    fields = {"labelled": [3], "subsets": [0], "search": None, **changes}
    content = {name: value for name, value in suite_with(fields).items() if value is not None}
    loaded = load_suite(str(write(tmp_path, content)))
    plan = make_plan(loaded, cache.reference)
    store = SuiteFolder.create(tmp_path / "runs" / "small")
    for run in plan.runs:
        store.by_id(run.id).create(run)
    if plan.loaded.suite.search is None:
        store.write_selection(plan.selection())
    return Session(plan, cache, store)
