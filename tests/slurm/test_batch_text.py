import json
import os
import shlex
import subprocess
from difflib import unified_diff
from pathlib import Path

import pytest

from harness.api.errors import UsageError
from harness.slurm.record import Submissions
from harness.slurm.script import Batch
from tests.slurm.submissions import cluster_of, path_with, stand_in, submission
from tests.slurm.sweeps import python_that
from tests.support import LIMIT_SECONDS

GOLDEN = Path(__file__).with_name("golden")
CLUSTERS = {
    "cpu": "time: 10\nvenv: ROOT/venv\n",
    "gpu": (
        "time: 4:00:00\npartition: gpu\naccount: lab\nqos: normal\ngpus: 1\ngpu_type: a100\ncpus: 4\nmemory: 16G\n"
        "runs_at_once: 2\nmodules: [cuda/12.6, gcc]\nvenv: ROOT/venv\nmax_parallel: 8\nmax_restarts: 3\n"
        "local_data: $TMPDIR/data\nfinish: {partition: cpu, gres: 'gpu:1', cpus: 2, memory: 8G, time: 0:20:00}\n"
        "lines: [--exclude=node7, --exclusive]\n"
    ),
    "container": "time: 60\nconstraint: a100|h100\ngpus: 1\ncontainer: ROOT/h.sif\n",
}
ARRAY = (["u1", "u2"], ["u3"])
STARTED = "Reason=None StartTime=2026-11-25T01:00:00"


def batch_of(tmp_path, name, one):
    for folder in ("venv", "h.sif"):
        (tmp_path / folder).mkdir(exist_ok=True)
    root = json.dumps(str(tmp_path), ensure_ascii=False)[1:-1]
    loaded = cluster_of(tmp_path, CLUSTERS[name].replace("ROOT/venv", f'"{root}/venv"').replace("ROOT", str(tmp_path)))
    return Batch(Submissions(tmp_path / "runs" / "tiny"), one, loaded.cluster)


def text_of(place, kind):
    texts = {"array": place.array_text, "calibrate": place.calibration_text, "finish": place.dependent_text}
    return texts[kind]()


def generalised(text, tmp_path):
    """Without this test's folder, and every line ending without blanks."""
    return "\n".join(line.rstrip() for line in text.replace(str(tmp_path.resolve()), "ROOT").splitlines()) + "\n"


@pytest.mark.parametrize(("name", "kind"), [("gpu", "array"), ("gpu", "finish"), ("container", "array")])
def test_the_text_is_the_golden_one_and_a_shell_can_read_it(name, kind, tmp_path):
    """The others' golden text is how they differ from the array's. The short cluster file's is run below."""
    place = batch_of(tmp_path, name, submission(*ARRAY) if kind == "array" else submission(name=f"tiny-{kind}-1"))
    text = generalised(text_of(place, kind), tmp_path)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    golden = GOLDEN / "gpu-array.sh"
    if (name, kind) != ("gpu", "array"):
        lines = unified_diff(golden.read_text().splitlines(), text.splitlines(), n=0, lineterm="")
        text = "".join(f"{line}\n" for line in list(lines)[2:] if not line.startswith("@@"))
        golden = GOLDEN / f"{name}-{kind}.diff"
    if os.environ.get("HARNESS_GOLDEN") == "write":
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("name", ["50%A", 'it\'s $(touch x) `x` #1; "é"', "a\nb", "a\\b"])
def test_a_folder_is_written_as_its_name_or_refused(name, tmp_path):
    (tmp_path / name).mkdir()
    place = batch_of(tmp_path / name, "cpu", submission(*ARRAY))
    if not name.isprintable() or "\\" in name:
        with pytest.raises(UsageError, match="a batch file cannot hold a backslash or control"):
            place.array_text()
        return
    text = place.array_text()
    (output,) = (line for line in text.splitlines() if "--output" in line)
    logs = place.submissions.folder.resolve()
    assert shlex.split(output, comments=False)[1] == f"--output={str(logs).replace('%', '%%')}/%A_%a.log"
    assert run_batch(tmp_path / name, "exit 0", "JobState=RUNNING") == (0, "")
    assert str(logs / "tiny-tasks-1.json") in (tmp_path / name / "called").read_text()


def run_batch(tmp_path, python, job, *, restarts=0, hit="", kind="array"):
    """Run the batch file with a stand-in for Python: its exit code, and what it asked of scontrol.

    job: what `scontrol show job` prints; hit: a signal for the batch shell once Python runs.
    """
    place = batch_of(tmp_path, "cpu", submission(*ARRAY))
    at = shlex.quote(str(tmp_path))
    python_that(tmp_path, f'echo "$@" > {at}/called; {python}')
    stand_in(tmp_path / "commands", "scontrol", f'[ "$1" = requeue ] && echo "$2" > {at}/requeued; echo "{job}"')
    script = tmp_path / "batch.sh"
    script.write_text(text_of(place, kind))
    environment = {
        **os.environ,
        "PATH": path_with(tmp_path / "commands"),
        "SLURM_JOB_ID": "57",
        "SLURM_ARRAY_JOB_ID": "55",
        "SLURM_ARRAY_TASK_ID": "1",
        "SLURM_RESTART_COUNT": str(restarts),
    }
    watcher = f"while [ ! -e {at}/ready ]; do sleep 0.02; done; kill -{hit} $$" if hit else "true"
    command = ["bash", "-c", f"({watcher}) & exec bash {shlex.quote(str(script))}"]
    done = subprocess.run(command, env=environment, timeout=LIMIT_SECONDS, check=False, capture_output=True)
    requeued = tmp_path / "requeued"
    return done.returncode, requeued.read_text().strip() if requeued.exists() else ""


def test_the_task_runs_its_runs_and_its_code_is_the_jobs(tmp_path):
    assert run_batch(tmp_path, "exit 0", "JobState=RUNNING") == (0, "")
    record = tmp_path.resolve() / "runs" / "tiny" / "slurm" / "tiny-tasks-1.json"
    assert (tmp_path / "called").read_text().split() == ["-P", "-m", "harness", "slurm-task", str(record), "1"]
    assert run_batch(tmp_path, "exit 70", "JobState=RUNNING") == (70, "")


@pytest.mark.parametrize(
    ("job", "restarts", "requeued"),
    [
        ("JobState=RUNNING Reason=None", 0, "55_1"),
        ("JobState=COMPLETING Reason=TimeLimit", 0, "55_1"),
        ("JobState=CANCELLED Reason=None", 0, ""),
        ("JobState=PENDING Reason=BeginTime Restarts=1", 0, ""),
        ("JobState=RUNNING Reason=None", 20, ""),
        (f"JobState=COMPLETING {STARTED} PreemptTime=2026-11-25T02:00:00", 0, "55_1"),
        (f"JobState=COMPLETING {STARTED} PreemptTime=2026-11-25T00:59:59", 0, ""),  # of an earlier start
    ],
)
def test_what_is_left_is_requeued_unless_somebody_decided_otherwise(job, restarts, requeued, tmp_path):
    assert run_batch(tmp_path, "exit 75", job, restarts=restarts) == (75, requeued)


@pytest.mark.parametrize(
    ("code", "job", "requeued"),
    [
        (143, f"JobState=COMPLETING {STARTED} PreemptTime=2026-11-25T02:00:00", "57"),
        (143, f"JobState=COMPLETING Reason=TimeLimit {STARTED} PreemptTime=None", ""),  # it would take as long again
        (75, "JobState=RUNNING", ""),  # it says that runs are left
    ],
)
def test_the_dependent_job_starts_again_after_preemption_alone(code, job, requeued, tmp_path):
    assert run_batch(tmp_path, f"exit {code}", job, kind="finish") == (code, requeued)


@pytest.mark.parametrize("signal", ["USR1", "TERM"])
def test_a_signal_reaches_python_and_its_exit_code_is_waited_for(signal, tmp_path):
    python = f"trap 'sleep 0.2; exit 75' USR1; touch {tmp_path}/ready; while :; do sleep 0.02; done"
    assert run_batch(tmp_path, python, "JobState=RUNNING", hit=signal) == (75, "55_1")


def test_a_python_that_could_not_listen_yet_is_started_again(tmp_path):
    python = f"touch {tmp_path}/ready; exec sleep 20"
    assert run_batch(tmp_path, python, "JobState=RUNNING", hit="USR1") == (138, "55_1")
