import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from torch.nn import functional

from benchmarks.acdc import ACDC
from benchmarks.la_label_free import LALabelFree
from harness.api.dataset import NewScan
from harness.api.scans.formats import read_scan
from harness.data.preprocess import predictor_image
from harness.execution.session import open_session
from harness.prediction.predict import predict_scans
from harness.records.reader import SuiteRecords, find_run
from harness.suite.load import load_suite
from harness.train.run import RunSettings, train_run
from harness.train.weights import load_predictor
from tests.data import small_acdc, small_la
from tests.support import call_cli, cases_of
from tests.synthetic import write_checksums
from tests.train.tiny import write_suite

pytestmark = pytest.mark.slow

FRAMES = {"patient011_frame01": "patient011_frame01", "patient011_frame02": "patient011_frame12"}


@dataclass(frozen=True)
class Trained:
    """Finished runs of a suite, and its test images, called as its cases are, with their annotations."""

    records: Path
    images: Path
    truths: dict[str, Path]

    def run(self, seed=0):
        return self.records / f"supervised/2/0/{seed}"

    def record(self, seed=0):
        return find_run(self.run(seed))


def bright(voxels, patient, frame):
    grey, label = voxels(patient, frame)
    label[:] = np.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0, 0, 0, 0, 0, 0, 0])
    label[:, :3] = 0
    return (grey // 10 + 200 * label).astype(np.int16), label


def train(root, data, dataset, seeds, **preprocessing):
    engine = {"validations": 1, "warmup_steps": 0, "optimiser": {"learning_rate": 0.1}}
    changes = {"dataset": dataset, "preprocessing": preprocessing, "seeds": seeds, "budget": {"steps": 25}}
    suite = write_suite(root, {"supervised": {}}, engine=engine, **changes)
    session = open_session(load_suite(suite), data, root / "runs")
    for seed in seeds:
        folder = session.folder(session.find(f"supervised/2/0/{seed}"))
        assert train_run(folder, session.cache, session.store.selection_path, RunSettings()).status == "ok"
    return session.store.root


@pytest.fixture(scope="module")
def patched(tmp_path_factory):
    threads = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ACDC, "splits", small_acdc.SmallACDC.splits)
        patch.setattr(LALabelFree, "splits", small_la.SPLITS)
        patch.setenv("HARNESS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield patch
    torch.set_num_threads(threads)
    torch.set_flush_denormal(False)


@pytest.fixture(scope="module")
def slices(patched, tmp_path_factory):
    root = tmp_path_factory.mktemp("acdc")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small_acdc, "voxels", partial(bright, small_acdc.voxels))
        folder = small_acdc.write_official(root / "ACDC") / "patient011"
    (root / "images").mkdir()
    for case, file in FRAMES.items():
        shutil.copy(folder / f"{file}.nii.gz", root / "images" / f"{case}.nii.gz")
    truths = {case: folder / f"{file}_gt.nii.gz" for case, file in FRAMES.items()}
    return Trained(train(root, root / "ACDC", "acdc", [0, 1], size=[32, 32], resize="area"), root / "images", truths)


@pytest.fixture(scope="module")
def volumes(patched, tmp_path_factory):
    root = tmp_path_factory.mktemp("la")
    small_la.write_official(root / "LA")
    (root / "images").mkdir()
    (case,) = small_la.SPLITS["test"]
    shutil.copy(root / "LA" / case / "lgemri.nrrd", root / "images" / f"{case}.nrrd")
    records = train(root, root / "LA", "la_label_free", [0], size=[32, 32, 16], shrink=4)
    return Trained(records, root / "images", {case: root / "LA" / case / "laendo.nrrd"})


@pytest.fixture
def trained(request):
    return request.getfixturevalue(request.param)


def dice(labels, truth, value):
    total = np.count_nonzero(labels == value) + np.count_nonzero(truth == value)
    return 2 * np.count_nonzero((labels == value) & (truth == value)) / total if total else 1.0


@pytest.mark.parametrize("trained", ["slices", "volumes"], indirect=True)
def test_test_images_score_as_in_the_runs_own_record(trained, tmp_path):
    predict_scans([trained.record()], trained.images, tmp_path / "out")
    cases = cases_of(trained.record().folder)
    last = cases[cases["checkpoint"] == "last"].set_index(["case", "class_name"])["dice"]
    assert 0 < last.mean() < 1
    for case, truth in trained.truths.items():
        (image,) = trained.images.glob(f"{case}.*")
        labels, geometry = read_scan(tmp_path / "out" / image.name)
        annotated, _ = read_scan(truth)
        annotated = np.where(annotated == 255, 1, annotated)
        assert labels.shape == annotated.shape
        assert geometry.spacing_mm == read_scan(image)[1].spacing_mm
        for value, name in enumerate(last[case].index, 1):
            assert dice(labels, annotated, value) == pytest.approx(last[case][name], rel=2**-16)
    pictures = {path.stem for path in (tmp_path / "out" / "overlays").glob("*.png")}
    assert pictures == trained.truths.keys()


def test_a_later_call_into_the_same_folder_forgets_no_scan(slices, tmp_path):
    for case in FRAMES:
        (tmp_path / case).mkdir()
        shutil.copy(slices.images / f"{case}.nii.gz", tmp_path / case)
        predict_scans([slices.record()], tmp_path / case, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "prediction.json").read_text())["scans"].keys() == FRAMES.keys()


def test_an_ensemble_decides_by_the_mean_probability(slices, tmp_path):
    records = [slices.record(seed) for seed in (0, 1)]
    predict_scans([*records, find_run(records[0].folder.path)], slices.images, tmp_path / "out")
    run = records[0].run
    for path in slices.images.iterdir():
        grey = read_scan(path)[0].transpose(2, 1, 0)
        image = predictor_image(NewScan(small_acdc.image_of(grey), None, np.asarray), run.preprocessing)
        networks = [load_predictor(record, torch.device("cpu")).network for record in records]
        with torch.inference_mode():
            mean = torch.stack([network(image).softmax(1) for network in networks]).mean(0)
        native = functional.interpolate(mean.argmax(1)[:, None].float(), grey.shape[1:], mode="nearest-exact")[:, 0]
        labels = read_scan(tmp_path / "out" / path.name)[0].transpose(2, 1, 0)
        assert np.mean(labels == native.numpy()) > 0.999
    said = json.loads((tmp_path / "out" / "prediction.json").read_text())
    assert list(said["runs"]) == [record.id for record in records]
    assert said["classes"] == {"background": 0, "RV": 1, "Myo": 2, "LV": 3}


def predict(*arguments, code):
    return call_cli("predict", *arguments, "--threads", "1", code=code).stderr


def test_one_flawed_scan_does_not_stop_the_others(slices, tmp_path):
    images = Path(shutil.copytree(slices.images, tmp_path / "in"))
    flawed = {
        "flat": np.zeros((20, 17, 3)),
        "nan": np.full((20, 17, 3), np.nan),
        "turned": np.random.default_rng(0).random((3, 20, 17)),
        "cine": np.random.default_rng(0).random((20, 17, 3, 2)),
    }
    for name, array in flawed.items():
        nibabel.save(nibabel.Nifti1Image(array.astype(np.float32), np.eye(4)), images / f"{name}.nii.gz")
    (images / "torn.nii").write_bytes(b"no scan")
    error = predict(slices.run(), "--images", images, "--to", tmp_path / "out", code=65)
    assert all(f"{images / name}.nii" in error for name in (*flawed, "torn"))
    assert "2 of 7 scans were predicted" in error
    assert {path.name for path in (tmp_path / "out").glob("*.nii*")} == {f"{case}.nii.gz" for case in FRAMES}


def test_what_does_not_go_together_is_refused_before_anything_is_written(slices, volumes, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").touch()
    (tmp_path / "two").mkdir()
    for channel in (0, 1):
        (tmp_path / "two" / f"a_000{channel}.nii").touch()
    run, images, out = slices.run(), slices.images, tmp_path / "out"
    for runs, source, to, code, reason in (
        ([run, volumes.run()], images, out, 64, "are no ensemble, they differ in dataset"),
        ([run], tmp_path / "none", out, 65, "no such folder"),
        ([run], tmp_path / "two", out, 65, "takes 1 channel"),
        ([run], images, tmp_path / "full", 64, "is not empty"),
        ([slices.run(7)], images, out, 64, "'supervised/2/0/7' names 0 runs"),
    ):
        assert reason in predict(*runs, "--images", source, "--to", to, code=code)
        assert not out.exists()


@pytest.mark.parametrize(
    ("trained", "dataset", "layout", "reason"),
    [("slices", "acdc", "ssl4mis-h5", "learnt from ssl4mis-h5 files, which record neither"),
     ("volumes", "la", "official", "cropped around their annotation"),
     ("slices", "phantom", "generated", "does not say how it prepares")],
    indirect=["trained"],
)  # fmt: skip
def test_runs_whose_preparation_cannot_be_repeated_are_refused(trained, dataset, layout, reason, tmp_path, monkeypatch):
    from harness.suite.registry import load_dataset

    monkeypatch.setattr("harness.train.weights.load_dataset", lambda _: load_dataset(dataset))
    records = SuiteRecords.open(Path(shutil.copytree(trained.records, tmp_path / "tiny")))
    folder = records.find("supervised/2/0/0").folder
    torch.save(torch.load(folder.weights, weights_only=True) | {"layout": layout}, folder.weights)
    write_checksums(folder)
    assert reason in predict(folder.path, "--images", trained.images, "--to", tmp_path / "out", code=64)
    assert not (tmp_path / "out").exists()
