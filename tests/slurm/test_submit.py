import logging
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.api.errors import HarnessError, RecordError, ServiceError, UsageError
from harness.api.strict import digest
from harness.data.cache import Cache
from harness.records.files import write_text
from harness.slurm.cluster import check_partitions
from harness.slurm.record import Submissions
from harness.slurm.run import run_dependent_job, submit_missing
from harness.slurm.submit import free_slots
from tests.search.suites import end
from tests.slurm.submissions import CLUSTER, COUNTED, cluster_of, session_of, stand_in, stand_in_slurm, submission

PARTITIONS = """\
PartitionName=main AllowGroups=ALL Default=YES MaxTime=01:00:00 State=UP
PartitionName=gpu AllowGroups=ALL Default=NO MaxTime=2-00:00:00 State=UP
PartitionName=long AllowGroups=ALL MaxTime=UNLIMITED State=UP
"""


REFUSED = "echo 'sbatch: error: {}' >&2; exit 1"


@dataclass(frozen=True)
class Ground:
    """Suites of one name, submitted from a folder to stand-ins of Slurm's commands."""

    folder: Path
    cache: Cache

    def session(self, **changes):
        return session_of(self.folder, self.cache, **changes)

    def submit(self, session, text=CLUSTER, *, dependent=False):
        return submit_missing(session, cluster_of(self.folder, text), 30.0, None, dependent=dependent)

    def sbatch(self, script=COUNTED):
        stand_in(self.folder / "commands", "sbatch", script)

    @property
    def sent(self):
        path = self.folder / "sent"
        return path.read_text().splitlines() if path.exists() else []

    @property
    def submissions(self):
        return Submissions(self.folder / "runs" / "small")

    @property
    def arrays(self):
        return [each for each in self.submissions if each.tasks]

    def queue(self, *states):
        array = self.arrays[0]
        lines = [
            f"{array.name}|{index}|{90 + index}|{array.job}|{state}|n1|None|" for index, state in enumerate(states)
        ]
        lines += [
            f"{job.name}|N/A|{job.job}|{job.job}|PENDING||Dependency|" for job in self.submissions if not job.tasks
        ]
        (self.folder / "queue").write_text("\n".join(lines) + "\n")


@pytest.fixture
def ground(tmp_path, phantoms, monkeypatch):
    stand_in_slurm(tmp_path, PARTITIONS, monkeypatch)
    return Ground(tmp_path, phantoms)


def test_an_array_and_its_dependent_job(ground, caplog):
    session = ground.session()
    caplog.set_level(logging.INFO, "harness")
    done = ground.submit(session)
    assert caplog.messages == [
        "job 1: 4 runs in 4 tasks, at most 2 at once, expected to take up to 3 minutes each",
        "job 2 follows: it writes the leaderboard",
    ]
    assert (done.queued, done.missing, done.over) == (4, 0, False)
    array, finish = ground.submissions
    assert (array.job, finish.job, finish.kind) == ("1", "2", "finish")
    assert [(job.checkpoint_seconds, job.panels) for job in ground.submissions] == [(30.0, None)] * 2
    assert array.tasks == [[run.id] for run in session.plan.runs]
    first, second = ground.sent
    folder = (session.store.root / "slurm").resolve()
    assert first.split() == ["--parsable", str(folder / f"{array.name}.sh")]
    assert second.split() == ["--parsable", "--dependency=afterany:1", str(folder / f"{finish.name}.sh")]
    text = (folder / f"{finish.name}.sh").read_text()
    assert f"harness slurm-task {folder / finish.name}.json" in text
    assert (folder / "clusters" / f"{array.cluster}.yaml").read_text() == CLUSTER


def test_what_waits_or_runs_is_not_submitted_again(ground):
    session = ground.session()
    ground.submit(session)
    ground.queue("RUNNING", "CANCELLED", "PENDING", "COMPLETED")
    assert ground.submit(session).queued == 4
    runs = session.plan.runs
    assert ground.arrays[-1].tasks == [[runs[1].id], [runs[3].id]]
    assert ground.sent[2].split()[1] == "--dependency=afterany:1", "max_parallel is 2 for both arrays together"
    assert "--dependency=afterany:1:3" in ground.sent[-1]  # behind the array that still runs, too
    for run in runs:
        end(session.folder(run), dice=0.5)
    assert ground.submit(session).over
    assert len(ground.sent) == 4


def test_a_job_whose_submitter_died_is_not_submitted_again(ground):
    session = ground.session()
    ground.submit(session)
    (array,) = ground.arrays
    ground.queue(*["PENDING"] * 4)
    ground.submissions.write(array.model_copy(update={"job": None}))
    assert (ground.submit(session).queued, len(ground.sent)) == (4, 2)
    assert Submissions.holding(ground.submissions.path(array))[1] == array


def test_what_never_reached_slurm_is_submitted(ground):
    session = ground.session()
    ground.sbatch(REFUSED.format("Unable to contact slurm controller"))
    with pytest.raises(ServiceError):
        ground.submit(session)
    assert [job.job for job in ground.submissions] == [None]
    ground.sbatch()
    assert ground.submit(session).queued == 4
    assert [job.job for job in ground.submissions] == [None, "1", "2"]


@pytest.mark.parametrize(
    ("ends", "text", "excluded", "again"),
    [
        (("FAILED|127:0|n1", "COMPLETED|0:0|n2", "FAILED|71:0|n1", "TIMEOUT|0:0|n2"), "", "n1", [0, 2]),
        (("RUNNING|0:0|n2", "FAILED|71:0|n1"), "lines: [--exclude=n7]\n", "n7,n1", [1]),  # once, where it failed a run
        (("FAILED|127:0|n1",) * 4, "", "", []),  # it may be what was submitted that is wrong
        (("FAILED|127:0|n1", "FAILED|127:0|n1", "COMPLETED|0:0|n1", "COMPLETED|0:0|n2"), "", "", []),  # mended since
        (("COMPLETED|0:0|n2", *("FAILED|70:0|n1", "FAILED|75:0|n1", "CANCELLED by 0|0:0|n1")), "", "", []),
        (("COMPLETED|0:0|n2", *("FAILED|127:0|n1",) * 3), "exclude_failing: false\n", "", []),
    ],
)
def test_what_a_node_failed_goes_once_to_another_one(ends, text, excluded, again, ground):
    session = ground.session()
    ground.submit(session)
    start = time.time() - 3600
    times = [datetime.fromtimestamp(start + number, UTC).astimezone() for number in range(len(ends))]
    lines = [f"1_{index}|{end}|{times[index]:%Y-%m-%dT%H:%M:%S}\n" for index, end in enumerate(ends)]
    (ground.folder / "ends").write_text("".join(lines))
    done = ground.submit(session, CLUSTER + text, dependent=True)
    assert (done.queued, done.missing) == (len(again), 4 - len(again))
    assert len(ground.sent) == (4 if again else 2)
    assert all((f"--exclude={excluded}" in line) == bool(again) for line in ground.sent[2:])
    if again:
        assert ground.arrays[-1].runs == [session.plan.runs[index].id for index in again]
        assert ground.submit(session, CLUSTER + text, dependent=True).queued == 0, "but once"


@pytest.mark.parametrize(
    ("most", "active", "tasks", "free"), [(16, 8, 100, 8), (16, 9, 100, 0), (16, 15, 1, 1), (2, 2, 1, 0)]
)
def test_max_parallel_holds_for_a_whole_suite(most, active, tasks, free):
    """Few slots for many tasks are none: the array would keep that limit when the others have ended."""
    assert free_slots(most, active, tasks) == free


def test_a_dependent_job_that_was_refused_is_submitted_alone(ground):
    session = ground.session()
    ground.sbatch(f"case $* in *afterany*) echo 'Invalid qos specification' >&2; exit 1;; esac; {COUNTED}")
    with pytest.raises(UsageError, match=r"mini.yaml:5: finish: Slurm refuses the dependent job: Invalid qos"):
        ground.submit(session)
    ground.queue(*["PENDING"] * 4)
    ground.sbatch()
    assert (ground.submit(session, dependent=True).queued, len(ground.sent)) == (4, 1)
    assert (ground.submit(session).queued, len(ground.sent)) == (4, 2)
    assert "--dependency=afterany:1 " in ground.sent[-1]
    ground.queue(*["PENDING"] * 4)
    assert (ground.submit(session).queued, len(ground.sent)) == (4, 2)


def written(session, text):
    submissions, suite = Submissions(session.store.root), session.plan.loaded
    session.store.keep_suite(suite.text, suite.suite.hash)
    values = {"suite": suite.suite.hash, "cluster": digest(text), "cache": str(session.cache.folder)}
    dependent = submission(name="small-finish-1").model_copy(update=values)
    write_text(submissions.cluster_path(dependent), text)
    submissions.write(dependent)
    return submissions.path(dependent)


def test_a_dependent_job_that_came_too_late_leaves_the_selection(ground):
    record = written(ground.session(), CLUSTER)
    selection = ground.session(labelled=[4]).store.selection_path
    before = selection.read_bytes()
    assert run_dependent_job(record) is None
    assert selection.read_bytes() == before


def test_the_record_of_a_dependent_job_is_all_it_needs(ground, monkeypatch):
    session = ground.session()
    record = written(session, CLUSTER)
    monkeypatch.chdir(ground.folder / "commands")
    done = run_dependent_job(record)
    assert done is not None
    assert (done.queued, done.missing, done.session.store.root) == (4, 0, session.store.root.resolve())
    assert [job.checkpoint_seconds for job in ground.submissions] == [30.0] * 3
    limited = replace(done.session, plan=replace(done.session.plan, rung=600))
    assert replace(done, session=limited).command == f"{done.command} --rung 600"
    assert replace(done, panels=False).command == f"{done.command} --no-panels"
    with pytest.raises(RecordError, match="no such submission"):
        run_dependent_job(record.with_name("none.json"))


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Invalid job array specification", "mini.yaml: max_array_size: Slurm refuses: "),
        ("AssocMaxSubmitJobLimit (job submit limit, user's size and/or time limits)", "mini.yaml: Slurm refuses: "),
        ("QOSMaxWallDurationPerJobLimit (job submit limit, or time limits)", "mini.yaml:1: time: Slurm refuses: "),
        ("Something else", "mini.yaml: Slurm refuses: Batch job submission failed: Something else"),
    ],
)
def test_a_refusal_names_the_field_and_leaves_nothing_on_record(said, told, ground):
    session = ground.session()
    ground.sbatch(REFUSED.format(f"Batch job submission failed: {said}"))
    text = "time: 60\naccount: lab\nqos: high\ngpus: 1\ngpu_type: h200x\nrun_time: 2\n"
    with pytest.raises(UsageError) as caught:
        ground.submit(session, text)
    assert told in str(caught.value)
    assert list(ground.submissions) == []
    assert list((session.store.root / "slurm").glob("*.sh")) == []


def test_who_lost_the_lease_submits_nothing(ground):
    session = ground.session()
    ground.sbatch(f"rm {ground.submissions.lease.path}; {COUNTED}")
    with pytest.raises(UsageError, match="another process took over"):
        ground.submit(session)
    assert len(ground.sent) == 1, "the array, not its dependent job"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time: 9\npartition: gpus\n", "mini.yaml:2: partition: unknown partition 'gpus'; did you mean 'gpu'?"),
        ("time: 61\n", "mini.yaml:1: time: partition main ends jobs after 60 minutes; 61 are asked for"),
        ("time: 9\nfinish: {time: 90}\n", "mini.yaml:2: finish: partition main ends jobs after 60"),
        ("time: 90\npartition: gpu\n", ""),
        ("time: 100:00:00\npartition: long\nfinish: null\n", ""),
    ],
)
def test_a_partition_is_checked_before_anything_is_done(text, told, ground):
    loaded = cluster_of(ground.folder, text)
    try:
        check_partitions(loaded)
        said = ""
    except HarnessError as error:
        said = str(error)
    assert told in said
    assert bool(told) == bool(said)
