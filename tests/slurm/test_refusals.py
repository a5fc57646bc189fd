import pytest

from tests.cli.ground import refuse, write_suite
from tests.search.suites import suite_with, write
from tests.slurm.submissions import write_cluster

pytestmark = pytest.mark.slow

SLURM = ("--suite", "tiny.yaml", "--executor", "slurm")


@pytest.fixture
def ground(tmp_path):
    folder = tmp_path / "ground"
    folder.mkdir()
    write_suite(folder)
    write_cluster(folder)
    return folder


@pytest.mark.parametrize(
    ("args", "named"),
    [
        (("run", *SLURM), ("--executor slurm needs --cluster FILE", "slurm/cluster.example.yaml")),
        (("run", "--suite", "tiny.yaml", "--cluster", "mini.yaml"), ("--cluster is read with --executor slurm alone",)),
        (("run", *SLURM, "--cluster", "mini.yaml", "--workers", "2"), ("--workers has no meaning on a cluster",)),
    ],
)
def test_options_that_do_not_belong_together(args, named, ground):
    refuse(*args, code=64, named=named, unchanged=ground)


def test_an_adaptive_search_is_sent_elsewhere(ground):
    write(ground, suite_with(mode="adaptive"))
    args = ("run", "--suite", "small.yaml", "--executor", "slurm", "--cluster", "mini.yaml")
    named = ("search.mode: an adaptive search", "SUITE=small.yaml sbatch slurm/sweep.sh")
    refuse(*args, code=64, named=named, unchanged=ground)


def test_gpus_of_several_models_are_not_calibrated_together(ground):
    write_suite(ground, ("{steps: 4}", "{reference_steps: 40}"))
    write_cluster(ground, "time: 5\ngpus: 1\n")
    named = ("mini.yaml:2: gpus: under reference steps", "set gpu_type or constraint here, or name a `calibration`")
    refuse("run", *SLURM, "--cluster", "mini.yaml", code=64, named=named, unchanged=ground)


def test_without_slurm_nothing_is_begun(ground):
    named = ("scontrol is not on the PATH: Slurm is not installed here",)
    env = {"PATH": str(ground / "nothing")}
    refuse("run", *SLURM, "--cluster", "mini.yaml", code=69, named=named, unchanged=ground, env=env)
