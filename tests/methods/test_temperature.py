import json
import math
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from harness.api.params import MethodParams, hyper
from methods.action_parts.temperature import (
    Constant,
    Cosine,
    HalfCosine,
    Linear,
    Step,
    Temperature,
    TemperatureSchedule,
)

POINTS = np.linspace(0.0, 1.0, 1001)


class Params(MethodParams):
    student: Temperature = hyper(Cosine(low=0.1, high=1.0, periods=1), "temperature of the student")
    teacher: Temperature = hyper(Constant(tau=0.04), "temperature of the teacher")


def bounds(schedule: TemperatureSchedule) -> tuple[float, float]:
    values = [v for v in schedule.model_dump(exclude={"periods", "family"}).values() if isinstance(v, float)]
    return min(values), max(values)


@pytest.mark.parametrize("periods", [0.5, 1, 5])
def test_cosine_equals_its_formula(periods: float):
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
    "text",
    [
        {"family": "constant", "tau": 0.07},
        {"family": "linear", "start": 1.0, "end": 0.1},
        {"family": "cosine", "low": 0.01, "high": 1.0, "periods": 10.0},
        {"family": "half_cosine", "start": 1.0, "end": 0.1},
        {"family": "step", "values": [1.0, 0.5, 0.1]},
    ],
)
def test_a_suite_writes_any_family_and_gets_it_back_as_json(text: dict[str, Any]):
    params = Params.model_validate({"student": text})
    dumped = params.model_dump(mode="json")
    assert dumped == {"student": text, "teacher": {"family": "constant", "tau": 0.04}}
    assert Params.model_validate(json.loads(json.dumps(dumped))) == params


def test_a_method_has_a_default_and_a_suite_may_leave_out_the_periods():
    assert Params().student.value(0.5) == pytest.approx(0.1)
    given_text = {"family": "cosine", "low": 0.1, "high": 1.0}
    assert Params.model_validate({"student": given_text}) == Params()
    assert str(Params().student) == "{family: cosine, low: 0.1, high: 1.0, periods: 1.0}"
    assert Params.model_json_schema()["properties"]["student"]["default"]["family"] == "cosine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"family": "constant", "tau": 0}, "greater than 0"),
        ({"family": "constant", "tau": math.nan}, "finite"),
        ({"family": "cosine", "low": 0.5, "high": 0.1}, "low 0.5 is above high 0.1"),
        ({"family": "step", "values": []}, "at least 1 item"),
        ({"family": "cosin", "low": 0.1, "high": 1.0}, "'constant', 'linear', 'cosine', 'half_cosine', 'step'"),
        ({"tau": 0.1}, "discriminator 'family'"),
    ],
)
def test_impossible_schedules_are_refused(text: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(Temperature).validate_python(text)
