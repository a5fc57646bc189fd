"""A stage's training step as one CUDA graph: recorded once, then replayed without the host's part of it.

The graph holds loss, backward, optimiser and `after_step`. It reads and writes fixed places of the device: a batch, the
method's schedules, the learning rates, parameters and buffers. Batches are drawn and augmented by the host's own calls,
so the data's generator needs no graph; torch's default generator, where all of a method's randomness comes from, takes
part by itself, and its state after a replay is that after the same step taken by the host.

A stage's first step and those whose images are compared are taken by the host: a method's layers are called there, and
an optimiser makes its state in its first step. What such a step put in another place is carried back before a replay.
"""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from harness.api.errors import UsageError
from harness.api.method import Batch, BatchPlan, Loss, Stage
from harness.api.progress import Progress, Scalar
from harness.data.sampler import Sampler, TrainingSet
from harness.records.schema import Run
from harness.train.build import build_state, enter_stages, set_learning_rate, take_step, update
from harness.train.checkpoint import TrainingState, generator_states, set_generator_states

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Calls a function once, and returns what does on the device what the function did."""


def record_graph(function: Callable[[], None]) -> Callable[[], None]:
    """A CUDA graph of all that the function launches; nothing is computed yet."""
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may go on calling CUDA
        function()
    return graph.replay


def as_recorded(schedules: Mapping[str, Scalar]) -> Progress:
    """Progress while a step is recorded: its shares are no numbers then, and who reads one gets no finite loss."""
    return Progress(math.nan, math.nan, -1, schedules)


class CapturedStep:
    """Takes the steps of one stage, which has taken one already, so that its optimiser has its state."""

    def __init__(self, state: TrainingState, stage: Stage, plan: BatchPlan, record: Recorder = record_graph) -> None:
        self.stage = stage
        self._state = state
        self._plan = plan
        self._batch = _next_batch_shape(state.sampler, plan)
        names = state.method.schedules(stage, state.meter.progress())
        self._schedules = {name: torch.zeros((), device=state.device) for name in names}
        self._buffers = [
            (module, name, buffer)
            for module in state.method.modules()
            for name, buffer in module.named_buffers(recurse=False)
        ]
        self._replay = record(self._update)

    def _update(self) -> None:
        loss = update(self._state, self.stage, self._batch, as_recorded(self._schedules))
        self._carry_back()
        self._loss = Loss(loss.total.detach(), {name: term.detach() for name, term in loss.terms.items()})

    def __call__(self, progress: Progress) -> Loss:
        """Take a step at the rate that the optimiser has; the next one writes over the loss, which is on the device."""
        state = self._state
        batch = state.sampler.next(self._plan)
        for place, tensor in zip(tensors_of(self._batch), tensors_of(batch), strict=True):
            place.copy_(tensor)
        if progress.schedules.keys() != self._schedules.keys():
            names = f"{sorted(progress.schedules)}, at first {sorted(self._schedules)}"
            raise ValueError(f"the schedules of a captured step must keep their names, not be {names}")
        for name, value in progress.schedules.items():
            self._schedules[name].fill_(value)
        self._carry_back()
        self._replay()
        state.method.on_progress(self.stage, progress)
        return self._loss

    @torch.no_grad()
    def _carry_back(self) -> None:
        """Copy buffers that were replaced by new tensors to where the graph reads them."""
        for module, name, place in self._buffers:
            current = getattr(module, name)
            if current is not place:
                place.copy_(current)
                setattr(module, name, place)


def rehearse(run: Run, data: TrainingSet, device: torch.device) -> None:
    """Capture a step of every stage on a throw-away copy and replay it. Raises `UsageError` where that cannot be."""
    generators = generator_states(device)
    copy = build_state(run, data, device)
    for stage, plan in enter_stages(copy):
        take_step(copy, stage, plan)
        try:
            step = CapturedStep(copy, stage, plan)
            progress = copy.meter.progress()
            set_learning_rate(copy.optimiser, run.engine, stage, progress)
            step(progress.with_schedules(copy.method.schedules(stage, progress)))
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        except torch.cuda.OutOfMemoryError:
            raise
        except (RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            why = f"stage {stage.name} of {run.method} cannot be captured as a CUDA graph: {reason}"
            raise UsageError(f"engine.compile: {why}; leave compile out of the suite") from error
    set_generator_states(device, generators)


def _next_batch_shape(sampler: Sampler, plan: BatchPlan) -> Batch:
    """A batch like those to come, in memory of its own; the sampler goes on as if it had not been asked."""
    before = sampler.state_dict()
    batch = sampler.next(plan)
    sampler.load_state_dict(before)
    return Batch(batch.images.clone(), batch.labels.clone(), tuple(view.clone() for view in batch.unlabelled))


def tensors_of(batch: Batch) -> tuple[Tensor, ...]:
    return batch.images, batch.labels, *batch.unlabelled
