from itertools import permutations, product

import nibabel
import numpy as np
import pytest
import torch

from harness.api import DataError
from harness.data.cache import Cache
from harness.data.own.new_scan import new_scan
from harness.data.own.prepare import Choices, prepare_scans
from harness.data.preprocess import predictor_image, preprocess
from harness.records.schema import Preprocessing
from tests.data.raw_format import ENDING, write_folder

FOUR = [f"p{number}" for number in range(4)]


def prepared(root, **folder):
    write_folder(root / "raw", {"Tr": FOUR}, **folder)
    prepare_scans(root / "raw", "own", Choices(), root / "cache")
    preparation = Cache.open(root / "cache").manifest.preparation
    return root, preparation


@pytest.mark.parametrize(
    ("channels", "thick"), [(("T1",), 1.0), (("CT", "T2"), 1.0), (("CT", "rescale_0_1"), 5.0)], ids=["3d", "two", "2d"]
)
def test_the_datasets_own_scans_are_prepared_as_they_were(channels, thick, tmp_path):
    root, preparation = prepared(tmp_path, channels=channels, spacing=lambda id_: (0.8 + int(id_[1]) / 8, 1.0, thick))
    cache = Cache.open(root / "cache")
    size = (16, 16) if preparation.dimension == 2 else (16, 16, 16)
    settings = Preprocessing(size=size, resize="area" if len(size) == 2 else "nearest")
    infos = cache.manifest.of("train")
    volumes = preprocess(infos, cache.cases("train"), settings).volumes()
    assert preparation.dimension == 2 or any(info.grid for info in infos)
    for info, image, label in volumes:
        files = sorted((root / "raw" / "imagesTr").glob(f"{info.id}_*"))
        scan = new_scan(files, preparation)
        assert torch.equal(predictor_image(scan, settings), image)
        assert scan.spacing_mm == info.spacing_mm
        annotated = np.asarray(nibabel.load(root / "raw" / "labelsTr" / f"{info.id}{ENDING}").dataobj)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(scan.restore(label.numpy()), annotated)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_labels_come_back_whatever_way_the_file_lies(order, tmp_path):
    _, preparation = prepared(tmp_path)
    grey = np.random.default_rng(0).random((7, 6, 5))
    for signs in product((1.0, -1.0), repeat=3):
        affine = np.zeros((4, 4))
        affine[order, range(3)], affine[3, 3] = 2 * np.array(signs), 1
        path = tmp_path / f"a{ENDING}"
        nibabel.save(nibabel.Nifti1Image(grey, affine), path)
        scan = new_scan([path], preparation)
        # the brightest voxels, marked where the network sees them, are the brightest of the file
        marked = scan.restore((scan.image > np.quantile(scan.image, 0.9)).astype(np.uint8))
        np.testing.assert_array_equal(marked, grey > np.quantile(grey, 0.9))


def test_a_scan_that_does_not_say_how_large_it_is(tmp_path):
    _, preparation = prepared(tmp_path, spacing=lambda _: (1.5, 1.0, 1.0))
    header = nibabel.Nifti1Header()
    image = nibabel.Nifti1Image(np.random.default_rng(0).random((9, 8, 7)), None, header)
    image.header["sform_code"] = image.header["qform_code"] = 0
    nibabel.save(image, tmp_path / "a.nii")
    with pytest.raises(DataError, match=r"a\.nii: voxel size unknown.*--spacing-mm"):
        new_scan([tmp_path / "a.nii"], preparation)
    scan = new_scan([tmp_path / "a.nii"], preparation, (3.0, 1.0, 1.0))
    assert scan.grid == (18, 8, 7)
    assert any("says no directions" in line for line in scan.warnings)
