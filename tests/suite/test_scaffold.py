import pytest
import yaml

from harness.scaffold import new_suite
from harness.suite.load import SUITES


@pytest.mark.parametrize("like", sorted(path.stem for path in SUITES.glob("*.yaml")))
@pytest.mark.parametrize("methods", [[], ["own", "own_too"]])
def test_a_copy_differs_by_its_name_and_methods_alone(like, methods, tmp_path):
    """And by a calibration, which lacks the new methods."""
    made = yaml.safe_load(new_suite("mine", methods, tmp_path, like).read_text())
    source = yaml.safe_load((SUITES / f"{like}.yaml").read_text())
    source["name"] = "mine"
    source["methods"] |= dict.fromkeys(methods)
    if methods:
        source.pop("calibration", None)
    assert made == source
    assert list(made["methods"]) == list(source["methods"])
