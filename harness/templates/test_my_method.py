"""The method keeps its contract: a test for each line of `harness check my_method`."""

from harness.check.testing import MethodTests
from harness.templates.my_method import MyMethod


class TestMyMethod(MethodTests):
    """Some seconds in all; a line that does not apply is skipped with its reason."""

    method = MyMethod
