import re
from typing import Any

import pytest
from pydantic import ValidationError

from methods.action_pp import ActionPPParams

SHARED = ("student_temperature", "anatomical_temperature", "supervised_temperature")


def placed(point: dict[str, Any], **params: Any) -> dict[str, Any]:
    """Temperatures as JSON after going to a point."""
    moved = ActionPPParams.model_validate(ActionPPParams(**params).with_values(point)).model_dump(mode="json")
    return {name: value for name, value in moved.items() if name.endswith("_temperature")}


@pytest.mark.parametrize(
    ("point", "student", "teacher"),
    [
        (
            {"tau_family": "half_cosine", "tau_low": 0.05, "tau_high": 2.0, "tau_periods": 10},
            {"family": "half_cosine", "start": 2.0, "end": 0.05},
            {"start": 2.0, "end": 0.005},
        ),
        (
            {"tau_periods": 0.5},  # the rest as the suite has it
            {"family": "cosine", "low": 0.1, "high": 1.0, "periods": 0.5},
            {"low": 0.01},
        ),
    ],
)
def test_a_point_sets_all_four_temperatures(point, student, teacher):
    assert placed(point) == {**dict.fromkeys(SHARED, student), "teacher_temperature": {**student, **teacher}}


def test_an_impossible_schedule_is_refused():
    with pytest.raises(ValidationError, match=r"low 0.6 is above high 0.5"):
        placed({"tau_low": 0.6, "tau_high": 0.5})
    with pytest.raises(ValueError, match=re.escape("cosine | half_cosine | linear | constant, not 'sine'")):
        placed({"tau_family": "sine"})
