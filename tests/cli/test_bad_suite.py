import pytest

from tests.cli.ground import refuse, write_suite


def test_unknown_verb_and_option(tmp_path):
    refuse("rum", code=64, named=("No such command 'rum'",), unchanged=tmp_path)
    refuse("status", "--sweet", "demo", code=64, named=("No such option", "--sweet"), unchanged=tmp_path)


@pytest.mark.slow
def test_a_tolerance_in_millimetres_needs_voxel_sizes(scans_16, tmp_path, session_cache):
    changes = ("dataset: phantom", "dataset: acdc"), ("validations: 2", "validations: 2, nsd_tolerance_mm: 3")
    suite = write_suite(tmp_path, *changes)
    named = (f"{suite}:10: engine.nsd_tolerance_mm: the voxel size of 40 test cases of acdc is unknown", "_voxels")
    env = {"HARNESS_CACHE": str(session_cache)}
    for verb in (("run", "--executor", "inline"), ("plan",)):  # the first prepares the data
        refuse(*verb, "--suite", suite, "--data", scans_16, code=64, named=named, unchanged=tmp_path, env=env)
