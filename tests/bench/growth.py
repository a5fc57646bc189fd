"""How costs grow, as a picture: verbs with the number of runs, a supervised training step with the side of an image.

python -m tests.bench.growth FILE.webp [RUNS] draws it and prints its numbers; in RUNS the
made-up records stay for next time. Exponents are slopes of a straight line through the logarithms.
"""

import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from harness.leaderboard.figure import set_plain
from harness.records.schema import Engine
from harness.train.clock import clock_of
from harness.train.environment import pick_device, prepare_device
from tests.bench import boards_bench, workload

SIDES, BATCH = (48, 96, 192, 256), 8
VERBS = ("plan", "status", "leaderboard")


def step_seconds() -> dict[str, list[float]]:
    device = pick_device()
    prepare_device(device, Engine())
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = {"supervised": [], "action_pp, last stage": []}
    for side in SIDES:
        for name, only in zip(seconds, ("supervised/train", "action_pp/anatomical"), strict=True):
            found = workload.entries((side, side), BATCH, device, only=only)
            seconds[name] += workload.measure(found, 5, workload.warm_up(device), clock_of(device)).values()
    return seconds


def main(file: Path, runs: Path) -> None:
    boards_bench.run(runs, "-m", "harness", "data", "prepare", "phantom")
    verbs = {
        verb: [boards_bench.measure(runs, verb, count).cpu_seconds for count in boards_bench.COUNTS] for verb in VERBS
    }
    figure = Figure(figsize=(7.2, 2.8), dpi=110, layout="constrained")
    panels = ("runs", "CPU seconds of a verb", boards_bench.COUNTS, verbs), (
        "pixels a side", "device-seconds of a step", SIDES, step_seconds(),
    )  # fmt: skip
    for axes, (across, up, sizes, lines) in zip(figure.subplots(1, 2), panels, strict=True):
        for name, seconds in lines.items():
            slope = np.polyfit(np.log(sizes), np.log(seconds), 1)[0]
            ends = math.log(seconds[-1] / seconds[-2]) / math.log(sizes[-1] / sizes[-2])
            print(
                name, dict(zip(sizes, np.round(seconds, 4).tolist(), strict=True)), f"exponent {slope:.2f}, {ends:.2f}"
            )
            axes.loglog(sizes, seconds, marker="o", markersize=3, label=f"{name}: {ends:.2f} at the end")
        axes.set(xlabel=across, ylabel=up, xticks=sizes, xticklabels=map(str, sizes))
        axes.minorticks_off()
        axes.legend(frameon=False, fontsize=7)
        set_plain(axes)
    figure.savefig(file, pil_kwargs={"quality": 30})


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as aside:
        main(Path(sys.argv[1]), Path(sys.argv[2] if len(sys.argv) > 2 else aside).resolve())
