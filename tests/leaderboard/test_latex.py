import re

from hypothesis import given
from hypothesis import strategies as st

from harness.leaderboard.latex import SPECIAL, escaped, latex
from harness.leaderboard.numbers import percent
from tests.synthetic import RunSpec, board_of, write_records

UNESCAPED = re.compile(r"(?<!\\)[&%$#_~^|<>]")


@given(st.text(alphabet=st.sampled_from([*SPECIAL, "a", " ", "\n", "1"])))
def test_no_text_steers_latex(text):
    """Read back by LaTeX's own rules, the escaped text is the text in one line."""
    read = escaped(text)
    for sign, written in sorted(SPECIAL.items(), key=lambda item: -len(item[1])):
        read = read.replace(written, f"\x00{ord(sign):04x}")
    assert not re.search(r"[\\{}&%$#_~^]", read)
    assert re.sub(r"\x00(.{4})", lambda match: chr(int(match[1], 16)), read) == re.sub(r" *\n\s*", " ", text)


def test_every_row_has_all_columns_and_the_numbers_of_the_leaderboard(tmp_path):
    methods = {"a_1": 0.0, "b_2": 2.0, "supervised_full": 0.0}
    board = board_of(write_records(tmp_path / "my_suite", RunSpec(methods=methods, seeds=2)))
    text = latex(board)
    tables = text.split("\\begin{table}")[1:]
    assert len(tables) == len(board.inputs.comparisons[0].labelled_counts) == 2
    for table, labelled in zip(tables, (3, 7), strict=True):
        (columns,) = re.findall(r"\\begin\{tabular\}\{(\w+)\}", table)
        lines = [line for line in table.splitlines() if line.endswith(r" \\")]
        assert {len(re.findall(r"(?<!\\)&", line)) + 1 for line in lines} == {len(columns)}
        assert not any(UNESCAPED.search(re.sub(r" & |\$\\pm\$", "", line)) for line in lines)
        assert rf"my\_suite, {labelled} labelled patients" in table
        rows = board.results.query("checkpoint == 'last' and labelled == @labelled").to_dict("records")
        assert len(lines) == 1 + len(rows) == 4
        for line, row in zip(lines[1:], rows, strict=True):
            assert row["entry"].replace("_", r"\_") in line
            assert percent(row["dice"]) in line
            assert ("textit" in line) == (row["block"] == "reference")
            assert ("textbf" in line) == (row["rank"] == 1)
