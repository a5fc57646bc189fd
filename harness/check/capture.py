"""The line on steps that a GPU may replay."""

from harness.check.outcome import FaultError, NotApplicableError
from harness.check.recording import RecordedStep
from harness.check.repeat import place_of_change
from harness.check.rig import STEPS, Rig, Trained, content, first_difference
from harness.train.build import set_learning_rate, start_stage, training_step


def capture(rig: Rig) -> str:
    """If declared `capturable`: steps that are recorded once and replayed train as steps that the host takes."""
    if not rig.kind.capturable:
        raise NotApplicableError("not declared capturable")
    stages = rig.build().stages
    for index, stage in enumerate(stages):
        if where := first_difference(*(_train(rig, index, recorded=recorded) for recorded in (False, True))):
            _, place = place_of_change(rig)
            why = f"stage {stage.name}, recorded once and replayed, trains otherwise: {where}"
            raise FaultError(f"declared capturable, but {why}", place or rig.hook("training_loss"))
    return f"replayed steps train as those of the host (stages: {', '.join(stage.name for stage in stages)})"


def _train(rig: Rig, index: int, *, recorded: bool) -> Trained:
    """A stage without those before it; recorded: all steps but the first are replayed."""
    state = rig.state()
    engine = state.run.engine.model_copy(update={"compile": True})
    state.run = state.run.model_copy(update={"engine": engine})
    for _ in range(index):
        start_stage(state)
        state.meter.next_stage()
    start_stage(state)
    stage, replayed, losses = state.stage, None, []
    plan = state.method.batches(stage, engine.batch_size)
    for number in range(STEPS):
        progress = state.meter.progress()
        set_learning_rate(state.optimiser, engine, stage, progress)
        progress = progress.with_schedules(state.method.schedules(stage, progress))
        if recorded and number:
            replayed = replayed or RecordedStep(state, stage, plan)
            loss = replayed(progress)
        else:
            loss = training_step(state, stage, plan, progress)
        losses.append(loss.total.detach().clone())
        state.meter.count_step()
    return losses, content(state)
