import json
import math
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.api.errors import UsageError
from harness.suite.load import load_suite
from harness.suite.plan import make_plan
from harness.suite.yaml_text import YamlError, parse
from tests.support import peak_below

BUSY_SECONDS = 5.0
"""Of CPU time. An idle core takes 0.1 s, a busy one several times that; what explodes takes minutes."""

WORDS = {
    "010": "010", "-07": "-07", "00": "00", "0": 0, "+5": 5, "1_000": "1_000", "0x1F": 31, "0b11": "0b11",
    "9" * 41: "9" * 41, "1e-2": 0.01, "1E+3": 1000.0, ".5": 0.5, "5.": 5.0, "-1.5e-3": -0.0015, "1.5e": "1.5e",
    "007.5": 7.5, "1,5": "1,5", "-.inf": -math.inf, "inf": "inf", "nan": "nan", "yes": "yes", "OFF": "OFF", "y": "y",
    "true": True, "False": False, "~": None, "NULL": None, "none": "none", "4:00:00": "4:00:00", "1:30": "1:30",
    "2024-01-02": "2024-01-02", "16GB": "16GB", "=": "=", "'010'": "010", "!!str 12": "12", "!!float 12": 12,
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_plain_words(word):
    value, _ = parse(f"key: {word}\n")
    assert value == {"key": WORDS[word]}
    assert type(value["key"]) is type(WORDS[word])


REFUSED = {
    "python": ("a: !!python/object/apply:os.system ['true']", "no tag of plain values"),
    "date": ("a: !!timestamp 2024-01-01", "no value of the tag"),
    "itself": ("a: &x [*x]", "x holds itself"),
    "list as a key": ("? [a, b]\n: c", "no name of a field"),
    "twice": ("a: 1\na: 2", "a is given twice"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_document_of_plain_values(name):
    text, problem = REFUSED[name]
    with pytest.raises(YamlError, match=problem.replace("<", r"\<")) as refused:
        parse(text)
    assert "\n" not in str(refused.value)


def laughs(levels, width):
    lines = ["a0: &a0 [lol]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(lines)


ABSURD = {
    "laughs of lists": laughs(30, 9),
    "laughs of merges": "a0: &a0 {x: 1}\n"
    + "\n".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 30)),
    "brackets": "a: " + "[" * 30_000,
    "indentation": "\n".join(" " * n + "a:" for n in range(300)),
    "many values": "a: [" + "1," * 30_000 + "]",
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_texts_are_refused_in_bounded_time(name):
    started = time.process_time()
    with pytest.raises(YamlError):
        parse(ABSURD[name])
    assert time.process_time() - started < BUSY_SECONDS


def test_an_absurd_file_costs_little_memory(tmp_path):
    path = tmp_path / "large.yaml"
    with path.open("wb") as file:
        file.truncate(2**32)  # a sparse file of four gigabytes
    with peak_below(1_000_000), pytest.raises(UsageError, match=f"{path}: not valid YAML: larger than 64 kB"):
        load_suite(path)


def test_anchors_and_merges_are_read():
    value, lines = parse("a: &x {b: 1, c: 2}\nd:\n  <<: *x\n  c: 3\ne: [*x, *x]\n")
    assert value == {"a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 3}, "e": [{"b": 1, "c": 2}] * 2}
    assert lines["d", "c"] == 4


WORD = st.text(st.characters(codec="utf-8", exclude_categories=["C"]), max_size=12)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORD,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORD, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(WORD, PLAIN, max_size=5))
def test_what_a_program_wrote_is_read_back(value):
    assert parse(json.dumps(value, ensure_ascii=False))[0] == value


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from("ab:-[]{}&*!|>'\"%@#?, \n\t01.e~"), max_size=60))
def test_rubbish_is_a_value_or_one_line(text):
    said = ""
    try:
        parse(text)
    except YamlError as error:
        said = str(error)
    assert "\n" not in said


TINY = """\
name: tiny
dataset: phantom
preprocessing: {size: [48, 48], resize: area}
labelled: [3]
seeds: [0, 1]
methods:
  supervised:
  ua_mt:
    params: {consistency: 0.2}
budget: {steps: 4}
engine: {batch_size: 4, validations: 1}
search:
  mode: headline
  trials: 2
  budget: {steps: 4}
  labelled: 3
  subset: 2
  seed: 100
  validations: 1
  engine: {optimiser.learning_rate: {scale: log, values: [1e-2, 3e-1]}}
"""

NOT_NUMBERS = {
    "true": ("seeds: [0, 1]", "seeds: [2, true]", "5: seeds.1: true and false are no numbers"),
    "parameter": ("consistency: 0.2", "consistency: true", "9: methods.ua_mt.params.consistency: true and false"),
    "searched engine": ("{scale: log, values: [1e-2, 3e-1]}", "{values: [true, 0.1]}", "learning_rate: True: true"),
}


def written(folder, text):
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", NOT_NUMBERS)
def test_true_and_yes_are_no_numbers(name, tmp_path, phantoms):
    old, new, place = NOT_NUMBERS[name]
    assert old in TINY
    path = written(tmp_path, TINY.replace(old, new))
    with pytest.raises(UsageError) as refused:
        make_plan(load_suite(path), phantoms.reference)
    assert place in str(refused.value)
    assert str(refused.value).startswith(f"{path}:")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "latin-1"])
def test_encodings_of_a_suite(encoding, tmp_path):
    path = tmp_path / "tiny.yaml"
    path.write_bytes((TINY + "description: gr\u00fc\u00df\n").encode(encoding))
    if encoding == "latin-1":
        with pytest.raises(UsageError, match="save it as UTF-8"):
            load_suite(path)
    else:
        assert load_suite(path).suite.description == "gr\u00fc\u00df"
