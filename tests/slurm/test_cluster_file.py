import json

import pytest

from harness.api.errors import UsageError
from harness.slurm.cluster import Cluster, load_cluster, minutes
from tests.slurm.submissions import cluster_of
from tests.support import REPO


@pytest.mark.parametrize(("given", "whole"), [(240, 240), ("90", 90), ("0:30:01", 31), ("2-3:00:00", 3060)])
def test_time_is_minutes_or_hours_rounded_up_to_minutes(given, whole):
    assert minutes(given) == whole


@pytest.mark.parametrize("given", ["1:30", "1-3", 1.5, True, "4:00:0"])
def test_a_time_that_could_mean_two_things_is_refused(given):
    with pytest.raises(ValueError, match="H:MM:SS"):
        minutes(given)


@pytest.mark.parametrize(
    ("written", "megabytes"),
    [
        ("16G", 16384), ("'16 gb'", 16384), ("16000", 16000), ("1.5tb", 1536 * 1024), ("2048K", 2), ("'0512'", 512),
    ],
)  # fmt: skip
def test_memory_as_people_write_it(written, megabytes, tmp_path):
    assert cluster_of(tmp_path, f"time: 60\nmemory: {written}\n").cluster.memory_mb == megabytes


@pytest.mark.parametrize("written", ["0123", "yes", "12:30"])
def test_an_account_stays_as_it_is_written(written, tmp_path):
    assert cluster_of(tmp_path, f"time: 60\naccount: {written}\n").cluster.account == written.strip("'")


def test_the_example_is_valid():
    cluster = load_cluster(REPO / "slurm" / "cluster.example.yaml").cluster
    assert (cluster.gres, cluster.time, cluster.memory_mb) == ("gpu:a100:1", 240, 16 * 1024)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("time: 60\ngpu_typ: a100\n", "mini.yaml:2: gpu_typ: unknown field; did you mean 'gpu_type'?"),
        ("partition: gpu\n", "mini.yaml: time: this field is required"),
        ("time: soon\n", "mini.yaml:1: time: give minutes or H:MM:SS, not 'soon'"),
        ("time: 60\nmemory: lots\n", "mini.yaml:2: memory: give memory as 16G, 16000M or 1T, not 'lots'"),
        ("time: 60\naccount: 123\n", "mini.yaml:2: account: this is text, which YAML reads as int here; write it in"),
        ("time: 60\ngpu_type: a100\n", "gpu_type a100 without gpus: set gpus: 1"),
        ("time: 60\nlines: [--array=0-3]\n", "mini.yaml:2: lines: '--array=0-3': set max_parallel and max_array_size"),
        ("time: 60\nvenv: /nowhere\n", "mini.yaml:2: venv: /nowhere does not exist"),
        ("time: 60\nvenv: /x\ncontainer: /y\n", "give venv or container, not both"),
        *((f"time: 60\nlocal_data: {json.dumps(bad)}\n", "mini.yaml:2: local_data: give a path on one line")
          for bad in ('a"b', "$(touch x)", "`x`", "a\nb", "a\\b")),
    ],
)  # fmt: skip
def test_a_wrong_file_is_told_with_line_field_and_fix(text, told, tmp_path):
    with pytest.raises(UsageError) as caught:
        cluster_of(tmp_path, text)
    assert told in str(caught.value)


@pytest.mark.parametrize(("time", "seconds"), [(1, 30), (30, 180), (600, 300)])
def test_the_warning_comes_in_time_for_a_checkpoint(time, seconds):
    assert Cluster(time=time).warning_seconds == seconds


@pytest.mark.parametrize(
    ("text", "gres", "mixes"),
    [
        ("time: 9\n", None, False),
        ("time: 9\ngpus: 1\n", "gpu:1", True),
        ("time: 9\ngpus: 1\nconstraint: a100\nruns_at_once: 4\n", "gpu:4", False),
        ("time: 9\ngpus: 1\ngpu_type: a100\nruns_at_once: 2\n", "gpu:a100:2", False),
    ],
)
def test_whole_gpus_of_one_model(text, gres, mixes, tmp_path):
    cluster = cluster_of(tmp_path, text).cluster
    assert (cluster.gres, cluster.mixes_gpus) == (gres, mixes)
