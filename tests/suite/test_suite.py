import pytest
import yaml

from harness.api.errors import UsageError
from harness.suite.load import find_suite, load_suite

GOOD = """\
# A comment.
name: small
dataset: phantom
preprocessing: {size: [32, 32], resize: area}
labelled: [3, 7]
seeds: [0, 1]
methods:
  supervised:
  ua_mt:
    params: {consistency: 0.2}
    engine:
      optimiser: {momentum: 0.5}
budget: {steps: 100}
engine:
  batch_size: 8
  optimiser:
    learning_rate: 0.03
"""


UA_MT = "methods.ua_mt.engine"


def write(folder, text):
    path = folder / "small.yaml"
    path.write_text(text)
    return str(path)


def load(folder, text):
    return load_suite(write(folder, text))


def refusal(folder, text):
    with pytest.raises(UsageError) as caught:
        load(folder, text)
    assert caught.value.exit_code == 64
    return str(caught.value)


def test_a_methods_engine_settings_are_the_suites_but_for_what_it_declares(tmp_path):
    suite = load(tmp_path, GOOD).suite
    assert suite.engine_of("supervised") == suite.engine
    declared = suite.engine_of("ua_mt")
    assert declared.optimiser.momentum == 0.5
    assert declared.optimiser.learning_rate == 0.03, "nested settings are merged, not replaced"
    assert declared.batch_size == 8
    assert suite.engine.optimiser.momentum == 0.9


def test_the_hash_is_of_the_content_and_not_of_the_layout(tmp_path):
    first = load(tmp_path, GOOD).suite.hash
    assert load(tmp_path, yaml.safe_dump(yaml.safe_load(GOOD), sort_keys=False)).suite.hash == first
    assert load(tmp_path, GOOD.replace("0.03", "3.0e-2")).suite.hash == first
    assert load(tmp_path, GOOD + "subsets: [0]\n").suite.hash == first, "a default that is written out"
    assert load(tmp_path, GOOD.replace("[0, 1]", "[0, 1, 2]")).suite.hash != first


@pytest.mark.parametrize(
    ("old", "new", "line", "field", "words"),
    [
        ("labelled:", "labeled:", 5, "labeled", "did you mean 'labelled'?"),
        ("learning_rate: 0.03", "lr: 0.03", 17, "engine.optimiser.lr", "there are: learning_rate"),
        ("steps: 100", "steps: 0", 13, "budget.steps", "greater than 0"),
        ("{steps: 100}", "{device_seconds: .inf}", 13, "budget.device_seconds", "finite"),
        ("{steps: 100}", "{device_seconds: 10, steps: 5}", 13, "budget", "exactly one of device_seconds, steps, ref"),
        ("{steps: 100}", "{ladder: [500, 500]}", 13, "budget", "each longer than the one before, not [500, 500]"),
        ("seeds: [0, 1]", "seeds: [0, 0]", 6, "seeds", "differ"),
        ("size: [32, 32]", "size: [32, 30]", 4, "preprocessing", "multiple of 16"),
        ("size: [32, 32]", "size: [32, 32, 16]", 4, "preprocessing", "resize is for slices"),
        ("optimiser: {momentum: 0.5}", "nsd_tolerance_voxels: 2", 12, f"{UA_MT}.nsd_tolerance_voxels", "have it alike"),
        ("batch_size: 8", "threads: 4", 15, "engine.threads", "4"),
        ("name: small", "name: ../escape", 2, "name", "../escape"),
    ],
)
def test_refusals_name_line_and_field(old, new, line, field, words, tmp_path):
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new, 1))
    (own,) = [text for text in message.splitlines() if f": {field}: " in text]
    assert own.startswith(f"{tmp_path / 'small.yaml'}:{line}: {field}: ")
    assert words in own


def test_engine_settings_of_volumes_change_no_hash_where_they_are_not_asked_for(tmp_path):
    """Off, written out, is what was meant before there was the switch."""
    first = load(tmp_path, GOOD).suite
    off = load(tmp_path, GOOD.replace("batch_size: 8", "batch_size: 8\n  largest_component: false")).suite
    kept = load(tmp_path, GOOD.replace("batch_size: 8", "batch_size: 8\n  largest_component: true")).suite
    assert (off.hash, off.engine) == (first.hash, first.engine)
    assert kept.hash != first.hash
    assert kept.engine_of("ua_mt").largest_component is True
    assert not {"window_stride", "validation_stride", "largest_component"} & first.engine.model_dump().keys()


def test_all_problems_at_once(tmp_path):
    text = (
        GOOD.replace("labelled", "labeled").replace("steps: 100", "steps: 0").replace("seeds: [0, 1]", "seeds: [5, 5]")
    )
    message = refusal(tmp_path, text)
    for field in ("labeled", "labelled", "budget.steps", "seeds"):
        assert f"{field}: " in message
    assert len(message.splitlines()) == 4


def test_a_key_that_stands_twice_is_refused(tmp_path):
    """YAML would quietly take the last one: half of what the file says would not be run."""
    message = refusal(tmp_path, GOOD.replace("  ua_mt:\n", "  supervised:\n  ua_mt:\n"))
    assert message.startswith(f"{tmp_path / 'small.yaml'}:9: ")
    assert "supervised is given twice" in message


@pytest.mark.parametrize(("content", "words"), [(b"- a\n- b\n", "mapping"), (b"name: \xff\xfe\n", "not valid YAML")])
def test_what_is_no_suite(content, words, tmp_path):
    path = tmp_path / "small.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=words) as caught:
        load_suite(str(path))
    assert str(path) in str(caught.value)


def test_suites_whose_tables_are_compared_have_the_same_methods():
    compared = ("acdc_semi", "acdc_bench", "la_mini", "la_semi")
    assert len({tuple(load_suite(name).suite.methods) for name in compared}) == 1


def test_an_unknown_suite_is_refused_with_the_nearest_name(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'acdc_mini'"):
        find_suite("acdc_mimi")
    with pytest.raises(UsageError, match="demo"):
        find_suite("zzzzzz")
    with pytest.raises(UsageError, match="no such suite file"):
        find_suite(str(tmp_path / "absent.yaml"))
