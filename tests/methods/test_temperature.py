import math

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from methods.action_parts.temperature import Cosine, HalfCosine, Linear, Step, Temperature
from methods.action_pp import ActionPPParams

POINTS = np.linspace(0.0, 1.0, 1001)


@pytest.mark.parametrize("periods", [0.5, 1, 5])
def test_cosine_equals_its_formula(periods):
    schedule = Cosine(low=0.1, high=1.0, periods=periods)
    swing = np.cos(math.pi * periods * POINTS) ** 2  # the same wave by the double angle
    assert [schedule.value(p) for p in POINTS] == pytest.approx(list(0.1 + 0.9 * swing), abs=1e-9)


def test_linear_and_half_cosine_by_hand():
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    assert [Linear(start=1.0, end=0.2).value(p) for p in shares] == pytest.approx([1.0, 0.8, 0.6, 0.4, 0.2])
    bend = 0.4 * math.sqrt(0.5)
    expected = [1.0, 0.6 + bend, 0.6, 0.6 - bend, 0.2]
    assert [HalfCosine(start=1.0, end=0.2).value(p) for p in shares] == pytest.approx(expected)


def test_steps_are_equal_pieces():
    schedule = Step(values=(1.0, 0.5, 0.25, 0.1))
    shares = [0.0, 0.2499, 0.25, 0.4999, 0.5, 0.7499, 0.75, 0.9999, 1.0]
    assert [schedule.value(p) for p in shares] == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.1, 0.1, 0.1]
    assert Step(values=(0.3,)).value(0.7) == 0.3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"family": "cosine", "low": 0.5, "high": 0.1}, "low 0.5 is above high 0.1"),
        ({"family": "cosin", "low": 0.1, "high": 1.0}, "'constant', 'linear', 'cosine', 'half_cosine', 'step'"),
    ],
)
def test_impossible_schedules_are_refused(text, message):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Temperature).validate_python(text)


SHARED = ("student_temperature", "anatomical_temperature", "supervised_temperature")


def placed(point, **params):
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
