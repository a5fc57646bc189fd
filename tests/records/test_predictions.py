import numpy as np

from harness.records.run_folder import RunFolder


def assert_equal(found, wanted):
    assert found.keys() == wanted.keys()
    for case, values in wanted.items():
        assert found[case].dtype == np.uint8
        assert np.array_equal(found[case], values)


def test_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    labels = {name: rng.integers(0, 4, shape, dtype=np.uint8) for name, shape in (("a", (3, 9, 7)), ("b", (2, 5, 6)))}
    folder = RunFolder(tmp_path)
    before = folder.has_predictions
    folder.write_predictions(labels)
    assert (before, folder.has_predictions) == (False, True)
    assert_equal(folder.predictions(), labels)
    assert_equal(folder.predictions(["b", "unknown"]), {"b": labels["b"]})
