import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from harness.report.picture import Box, outline

WHOLE = Box(0, 0, 12, 10)


def rings(path):
    corners = []
    for ring in re.findall(r"M([^Mz]*)z", path):
        start, *moves = re.findall(r"^-?\d+ -?\d+|[hvl][^hvl]*", ring)
        points = [np.array(start.split(), dtype=float)]
        for move in moves:
            numbers = [float(one) for one in move[1:].split()]
            step = {"h": lambda n: (n[0], 0.0), "v": lambda n: (0.0, n[0]), "l": tuple}[move[0]](numbers)
            points.append(points[-1] + step)
        corners.append(np.array(points) / 2.0)
    return corners


def area(points):
    x, y = points.T
    return 0.5 * float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def test_the_box_moves_the_outline():
    mask = np.zeros((12, 10), dtype=bool)
    mask[4:8, 3:6] = True
    (whole,), (moved,) = rings(outline(mask, WHOLE)), rings(outline(mask, Box(2, 1, 8, 8)))
    assert moved == pytest.approx(whole - (1, 2))


@given(arrays(np.bool_, (12, 10), elements=st.booleans()))
def test_outlines_enclose_the_pixels(mask):
    """Their area, but for the corners that are cut; holes run the other way round."""
    polygons = rings(outline(mask, WHOLE))
    quads = np.pad(mask, 1).astype(int)
    corners = quads[:-1, :-1] + quads[1:, :-1] + quads[:-1, 1:] + quads[1:, 1:]
    # each square between four pixel centres holds 0, 1/8, 1/2, 7/8 or 1 by how many of the four are in the mask;
    # two across the diagonal hold 1/4 or 3/4
    across = (corners == 2) & (quads[:-1, :-1] == quads[1:, 1:])
    sure = np.select([corners == 1, corners == 2, corners == 3, corners == 4], [0.125, 0.5, 0.875, 1.0], 0.0)
    total = abs(sum(area(ring) for ring in polygons))
    assert abs(total - sure.sum()) <= 0.25 * across.sum() + 1e-9
