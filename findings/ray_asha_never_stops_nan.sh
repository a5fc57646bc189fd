#!/usr/bin/env bash
# Ray Tune 2.60.0: ASHA never stops a trial whose metric is nan (training diverged). It asks "reward < cutoff" at each
# rung, which is False for nan, so the trial passes every rung and trains to max_t, while sound trials are stopped at the
# first one. Here 4 of 12 trials diverge at once, and get most of the iterations of the whole search. The same
# trials told as 0, the worst value, are stopped like any poor trial.
# (Issue 6659 kept nan out of the cutoff alone; MedianStoppingRule and PBT of this version look for nan.)
# Runs the trials one after another through the scheduler, with no cluster. Prints how far each came, and fails if that
# changes.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --no-compile "ray[tune]==2.60.0" numpy==2.3.5
cat >"$work/run.py" <<'PY'
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, TrialScheduler

QUALITIES = [9, 8, None, 7, 6, None, 5, 4, None, 3, 2, None]  # None diverges


def iterations(told):
    """How far each trial comes, where one that diverges reports `told`."""
    scheduler = ASHAScheduler(metric="dice", mode="max", max_t=64, grace_period=4, reduction_factor=4)
    came = []
    for quality in QUALITIES:
        trial = Trial("train", stub=True)
        scheduler.on_trial_add(None, trial)
        dice = told if quality is None else quality / 10
        step = 1
        while (
            scheduler.on_trial_result(None, trial, {"dice": dice, "training_iteration": step}) != TrialScheduler.STOP
        ):
            step += 1
        came.append(step)
    return came


for told in (float("nan"), 0.0):
    came = iterations(told)
    diverged = [steps for steps, quality in zip(came, QUALITIES) if quality is None]
    sound = [steps for steps, quality in zip(came, QUALITIES) if quality is not None]
    print(f"diverged trials report {told}: {came}, {sum(diverged) / sum(came):.0%} of all iterations by those that diverged")
    assert diverged == ([64] * 4 if told != told else [4] * 4)
    assert sound == [64] + [4] * 7
print("as found: ASHA stops sound trials, and never one that reports nan")
PY
"$work/venv/bin/python" "$work/run.py"
