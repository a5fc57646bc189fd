import shutil

import numpy as np
import pytest

from harness.data.prepare import prepare
from tests.data.small_acdc import SmallACDC, image_of, voxels, write_h5, write_official, write_ssl4mis
from tests.data.test_bad_input import refusal

ODD = "patient011_frame02"


def both(change):
    return lambda image, label: (change(image), change(label))


def image_alone(change):
    return lambda image, label: (change(image).astype(np.float32), label)


def label_alone(change):
    return lambda image, label: (image, change(label).astype(np.uint8))


REFUSED = {
    "blank": (image_alone(lambda image: image * 0), "every voxel is 0"),
    "axes H W Z": (both(lambda array: array.transpose(1, 2, 0)), "axes look turned"),
    "0 to 255": (image_alone(lambda image: image * 255), "grey values from 0 to 255; scale them to 0..1"),
}

WARNED = {
    "no class at all": (label_alone(lambda label: label * 0), "no class at all in the label"),
    "one voxel labelled": (
        label_alone(lambda label: np.where(np.arange(label.size).reshape(label.shape) == 200, 3, 0)),
        "far more or far less",
    ),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    return write_ssl4mis(tmp_path_factory.mktemp("sound") / "raw")


def tree(sound, root, change):
    shutil.copytree(sound, root)
    grey, label = voxels(*ODD.split("_"))
    image, label = change(image_of(grey), label)
    write_h5(
        root / "data" / f"{ODD}.h5", np.ascontiguousarray(image, np.float32), np.ascontiguousarray(label, np.uint8)
    )
    return root


@pytest.mark.parametrize("change", REFUSED)
def test_an_impossible_volume_is_refused_with_its_file(change, sound, tmp_path):
    make, text = REFUSED[change]
    root = tree(sound, tmp_path / "raw", make)
    (line,) = refusal([SmallACDC()], root, tmp_path)
    assert line.startswith(f"{root / 'data' / ODD}.h5: ")
    assert text in line


@pytest.mark.parametrize("change", WARNED)
def test_an_odd_volume_is_warned_of_in_the_manifest(change, sound, tmp_path):
    make, text = WARNED[change]
    warnings = prepare(SmallACDC(), tree(sound, tmp_path / "raw", make), tmp_path / "cache").manifest.warnings
    assert any(line.startswith(f"{ODD}: ") and text in line for line in warnings), warnings


def test_sound_trees_give_no_warning(tmp_path):
    for number, write in enumerate((write_ssl4mis, write_official)):
        assert prepare(SmallACDC(), write(tmp_path / str(number)), tmp_path / f"cache{number}").manifest.warnings == []
