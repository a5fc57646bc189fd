"""The check as a class of tests that an author subclasses.

    from harness.check.testing import MethodTests

    class TestMine(MethodTests):
        method = Mine

pytest then runs a test for each line of `harness check`; one that does not apply skips with its reason.
"""

from typing import ClassVar

import pytest

from harness.api.method import Method
from harness.check.lines import LINES, Line, try_line


class MethodTests:
    """Holds the class `method` to the contract."""

    method: ClassVar[type[Method]]

    @pytest.mark.parametrize("line", LINES, ids=lambda line: line.name)
    def test_keeps(self, line: Line) -> None:
        outcome = try_line(line, self.method)
        if outcome.state == "does not apply":
            pytest.skip(outcome.text)
        if outcome.state == "failed":
            pytest.fail(f"{outcome.place}: {outcome.text}", pytrace=False)
