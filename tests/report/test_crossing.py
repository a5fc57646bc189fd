"""Two crossed dimensions as a table and as a picture."""

import numpy as np
import pandas as pd

from harness.report.crossing import crossing, write_search_picture
from harness.report.surface import surfaces
from tests.report.trials import CENTERS, row, searched, trials
from tests.synthetic import RunSpec, board_of, write_records


def grid_of(method: str = "mc_net", frame: pd.DataFrame | None = None):
    return next(one for one in surfaces(trials() if frame is None else frame) if one["entry"] == method)


def test_levels_and_cells_of_a_grid():
    table = crossing(grid_of())
    assert table is not None
    assert (table.columns.name, table.index.name) == ("centers per class", "temperature")
    assert list(map(int, table.columns)) == list(CENTERS)
    assert table.index.tolist() == [
        "constant tau 0.1", "half cosine start 1 end 0.1", "cosine low 0.1 high 1 periods 1",
        "cosine low 0.1 high 1 periods 10",
    ]  # fmt: skip
    expected = 0.5 + 0.01 * np.arange(20.0).reshape(4, 5)
    expected[2, 3] = np.nan
    np.testing.assert_allclose(table, expected)


def test_no_crossing_without_each_pair_once():
    frame = trials().query("entry == 'mc_net'")
    twice = pd.concat([frame, frame.iloc[:1]])
    for own in (frame.iloc[:-1], twice):
        assert crossing(grid_of(frame=own)) is None
    assert crossing(grid_of("ua_mt")) is None, "three points in a plane"
    assert crossing(grid_of("a", pd.DataFrame([row("a", i, {"x": i}, 0.5) for i in range(3)]))) is None


def test_the_picture_is_reproduced_and_goes_with_its_search(tmp_path):
    store = write_records(tmp_path / "suite", RunSpec(methods={"ua_mt": 0.1}, labelled=(3,), seeds=1, patients=2))
    board = board_of(store)
    path = write_search_picture(searched(board), tmp_path)
    assert path is not None
    assert path == tmp_path / "search.png"
    first = path.read_bytes()
    assert first.startswith(b"\x89PNG")
    write_search_picture(searched(board), tmp_path)
    assert path.read_bytes() == first
    assert write_search_picture(board, tmp_path) is None
    assert not path.exists()
