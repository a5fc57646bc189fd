from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray

from methods.action import ACTION
from methods.action_parts.allocation_picture import draw_allocation, plane, slot_names
from methods.action_pp import ACTIONPP, ActionPPParams
from tests.methods.staged import small

CLASSES = ("background", "RV", "Myo", "LV")
AXES = np.eye(4, 8)
ARRAYS: Mapping[str, NDArray[Any]] = {
    "centres": AXES,
    "prototypes": AXES[[3, 0, 1, 2]],
    "similarity": np.eye(4)[[3, 0, 1, 2]],
    "assignment": np.array([3, 0, 1, 2]),
    "slot_class": np.arange(4),
    "features": AXES[np.arange(80) % 4].astype(np.float16),
    "labels": np.arange(80) % 4,
}


def texts(figure: Figure, panel: int) -> list[str]:
    return [text.get_text() for text in figure.axes[panel].texts]


def drawn(figure: Figure) -> int:
    """Width in pixels; drawing raises where a panel cannot be drawn."""
    figure.canvas.draw()
    return int(figure.bbox.width)


def test_slots_are_numbered_where_a_class_has_several():
    assert slot_names(np.array([0, 1, 1, 3]), CLASSES) == ["background", "RV 1", "RV 2", "LV"]


def test_the_matrix_shows_cosines_and_assignments():
    figure = draw_allocation(ARRAYS, CLASSES)
    assert figure.get_suptitle() == "class centres and their prototypes"
    assert texts(figure, 0)[:4] == ["0.00", "0.00", "0.00", "1.00"]
    frames = [patch.get_xy() for patch in figure.axes[0].patches]  # type: ignore[attr-defined]
    assert frames == [(2.5, -0.5), (-0.5, 0.5), (0.5, 1.5), (1.5, 2.5)]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == list(CLASSES)


def test_a_centre_has_the_colour_of_the_class_that_holds_it():
    features, centres, prototypes = draw_allocation(ARRAYS, CLASSES).axes[1].collections[:3]
    assert np.allclose(centres.get_offsets(), prototypes.get_offsets())  # each prototype lies on its slot's centre
    assert np.allclose(centres.get_facecolor(), prototypes.get_facecolor())
    assert np.asarray(features.get_offsets()).shape == (80, 2)


@pytest.mark.parametrize(
    "changes",
    [
        {"features": np.zeros((0, 8)), "labels": np.zeros(0, np.int64)},
        {"prototypes": np.zeros((4, 8)), "similarity": np.zeros((4, 4))},
        {"features": np.eye(1, 8)[[0] * 4], "labels": np.zeros(4, np.int64), "centres": np.eye(1, 8)[[0] * 4]},
    ],
    ids=["no feature", "no prototype yet", "all in one place"],
)
def test_a_picture_of_little_is_drawn(changes: dict[str, NDArray[Any]]):
    assert drawn(draw_allocation({**ARRAYS, **changes}, CLASSES))


def test_a_method_with_centres_draws_them_and_others_nothing():
    method = small(ACTIONPP, centers_per_class=4)
    assert isinstance(method.params, ActionPPParams)
    arrays = {name: tensor.numpy() for name, tensor in method.arrays().items()}
    (name, figure), *others = method.figures(arrays, [method.diagnostics()]).items()
    assert (name, others) == ("centers", [])
    assert drawn(figure)
    assert small(ACTIONPP, centers=False).figures({}, [{}]) == small(ACTION).figures({}, [{}]) == {}


def test_the_plane_is_spanned_by_the_two_widest_directions():
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 5)))[0]
    flat = np.array([[3, 0], [-3, 0], [0, 2], [0, -2], [3, 0], [-3, 0]]) @ turn[:2]
    axes, mean, shares = plane(flat[:4] + 1.0, flat[4:] + 1.0)
    assert mean == pytest.approx(np.ones(5))
    assert axes.T @ axes == pytest.approx(np.eye(2))
    assert np.abs(turn[:2] @ axes) == pytest.approx(np.eye(2), abs=1e-9)
    assert shares == pytest.approx([36 / 44, 8 / 44])
    assert all(column[np.abs(column).argmax()] > 0 for column in axes.T)
