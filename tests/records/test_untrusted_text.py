import io

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.records.untrusted_text import csv_text, in_cell, in_markdown, single_line, without_controls

ESCAPES = {
    "colour": ("\x1b[31mred\x1b[0m", "red"),
    "title": ("\x1b]0;evil\x07name", "name"),
    "link": ("\x1b]8;;http://evil\x1b\\text\x1b]8;;\x1b\\", "text"),
    "one byte": ("\x9b31mred", "red"),
    "backspace": ("good\x08\x08\x08\x08evil", "goodevil"),
    "carriage return": ("99.9\r10.0", "99.910.0"),
    "turned order": ("a\u202eb\u2066c\u200fd", "abcd"),
    "half a character": ("a\ud800b", "ab"),
}


@pytest.mark.parametrize("name", ESCAPES)
def test_controls_are_stripped(name):
    text, expected = ESCAPES[name]
    assert without_controls(text) == expected


@given(st.text() | st.text(alphabet="\x1b[]0;m\x07\\\x9b\x9d\n\r\tab"))
def test_nothing_steers_a_terminal(text):
    assert all(char.isprintable() or char in "\n\t" or char >= "\xa0" for char in without_controls(text))
    line = single_line(text)
    assert not set(line) & set("\n\t\r\x1b\x9b\x85\u2028")
    assert single_line(line) == line
    line.encode()


HOSTILE = {
    "<script>alert(1)</script>": "&lt;script>alert(1)&lt;/script>",
    "<!-- hidden": "&lt;!-- hidden",
    "[text](javascript:x)": "[text\\](javascript:x)",
    "[a][b]": "[a\\][b]",
    "a|b": "a\\|b",
    "# one\r\n# two": "# one # two",
    "p <0.0001 [84.0, 86.0]": "p <0.0001 [84.0, 86.0]",
}


@pytest.mark.parametrize("text", HOSTILE)
def test_markdown_shows_what_is_written(text):
    assert in_cell(text) == HOSTILE[text]
    assert in_markdown(text) == HOSTILE[text].replace("\\|", "|")


FORMULAS = ["=1+1", "+1", "\t=1", '=HYPERLINK("http://x")', "\x1b[1m=1", "\ufeff=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_of_a_csv_is_a_formula(text):
    frame = pd.DataFrame({"entry": [text, "ua_mt", None], "difference": [-1.5, 2.0, -3.0]})
    read = pd.read_csv(io.StringIO(csv_text(frame)))
    assert read["entry"][0].startswith("'")
    assert read["entry"][1] == "ua_mt"
    assert pd.isna(read["entry"][2])
    assert read["difference"].tolist() == [-1.5, 2.0, -3.0]
