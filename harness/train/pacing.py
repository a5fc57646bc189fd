"""What plain supervised steps cost beside a run, a few times while it trains.

A calibration says what a step of each method costs. Whether the run's own steps cost that, too, is compared here: a
method could do less while it is calibrated, or more as it goes on.
"""

from dataclasses import dataclass

import torch

from harness.api.strict import digest
from harness.data.sampler import TrainingSet
from harness.records.budget import Budget
from harness.records.calibration import CalibrationHeader
from harness.records.schema import Engine, Pace, Run
from harness.suite.costs import UNCOUNTED_STEPS, unit_method
from harness.suite.load import merge
from harness.train.build import build_state
from harness.train.calibrate import first_stage, timed
from harness.train.checkpoint import TrainingState, generator_states, set_generator_states
from harness.train.clock import clock_of
from harness.train.environment import fingerprint

MOST_SAMPLES = 4
"""Validations of a run that are followed by supervised steps."""
STEPS = 3


@dataclass(frozen=True)
class Pacer:
    """Takes supervised steps (`unit`) on a throw-away network."""

    unit: Run
    data: TrainingSet

    def sample(self, state: TrainingState, number: int) -> Pace | None:
        """Seconds of supervised steps and of the run's latest ones; outside the clock, without a trace.

        None where no sample is due at this validation, the stage has taken too few steps, or the device lacks the
        memory.
        """
        every = -(-state.run.engine.validations // MOST_SAMPLES)
        own = state.meter.recent[-STEPS:]
        if number % every or len(own) < STEPS:
            return None
        generators = generator_states(state.device)
        try:
            clock = clock_of(state.device)
            step = first_stage(build_state(self.unit, self.data, state.device))
            reference = tuple(timed(clock, step, 0.5) for _ in range(STEPS))
        except (torch.cuda.OutOfMemoryError, MemoryError):
            return None
        finally:
            set_generator_states(state.device, generators)
        device = digest(fingerprint(state.device).model_dump(mode="json"))
        return Pace(stage=state.stage.name, reference=reference, own=tuple(own), device=device)


def unit_of(run: Run, header: CalibrationHeader) -> Run:
    """Plain supervised training on a run's data, at the settings that were calibrated."""
    method = unit_method()
    return run.model_copy(
        update={
            "method": method.name,
            "method_version": method.version,
            "params": method.Params().model_dump(mode="json"),
            "engine": Engine.model_validate(merge(run.engine.model_dump(), header.engine)),
            "budget": Budget(steps=UNCOUNTED_STEPS),
            "calibration": None,
        }
    )
