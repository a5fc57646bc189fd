import pytest

from tests.cli.ground import refuse, write_suite


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        pytest.param(
            [("seeds: [0]", "seedz: [0]"), ("validations: 2", "validatons: 2")],
            (
                "tiny.yaml:5: seedz: unknown field; did you mean 'seeds'?",
                "tiny.yaml:10: engine.validatons: unknown field; did you mean 'validations'?",
                "tiny.yaml: seeds: this field is required",
            ),
            id="misspelt fields, all at once",
        ),
        pytest.param(
            [("ua_mt:", "ua_mt: {params: {consistancy: 0.1, passes: 3}}")],
            (
                "tiny.yaml:8: methods.ua_mt.params.consistancy: unknown field; did you mean 'consistency'?",
                "tiny.yaml:8: methods.ua_mt.params.passes: Input should be a multiple of 2",
            ),
            id="unknown and impossible method parameters, all at once",
        ),
    ],
)
def test_bad_suite(changes, named, tmp_path):
    suite = write_suite(tmp_path, *changes)
    refuse("run", "--suite", suite, "--executor", "inline", code=64, named=named, unchanged=tmp_path)


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
