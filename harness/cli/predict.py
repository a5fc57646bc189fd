"""New scans: `harness predict`."""

import logging
import os
from pathlib import Path

import click

from harness.cli.options import PATH, Spacing, millimetres
from harness.records.reader import find_run

log = logging.getLogger(__name__)


@click.command("predict")
@click.argument("runs", metavar="RUN...", type=PATH, nargs=-1, required=True)
@click.option("--images", type=PATH, required=True, help="Folder of scans: .nii.gz, .nii, .nrrd, .mha, .mhd.")
@click.option("--to", "destination", type=PATH, required=True, help="A new folder, for label maps and pictures.")
@click.option(
    "--spacing-mm", callback=millimetres, metavar="X,Y,Z",
    help="Voxel size of files whose header says none, along their axes; asked for where scans are resampled.",
)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Of the CPU; default: all cores.")
def predict_command(
    runs: tuple[Path, ...],
    images: Path,
    destination: Path,
    spacing_mm: Spacing | None,
    threads: int | None,
) -> None:
    """Segment every scan in --images with a finished run's last weights; several runs are an ensemble.

    RUN is the folder of a suite's records with the run's name behind it, runs/acdc_mini/ua_mt/7/0/1, or the run's own
    folder. A scan is prepared as the run's own were. Its label map has its name, format and geometry; a picture of
    each lies in overlays/, and prediction.json says which runs were used and what the labels mean. Of an ensemble the
    mean of the probabilities decides.
    """
    records = [find_run(path) for path in runs]  # a typo is refused before torch is loaded

    from harness.prediction.predict import predict_scans

    threads = threads or len(os.sched_getaffinity(0))
    prediction = predict_scans(records, images, destination, threads=threads, spacing_mm=spacing_mm)
    log.info("%s: %d label maps, pictures in overlays/", destination, len(prediction.scans))
