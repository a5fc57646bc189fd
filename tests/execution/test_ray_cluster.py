from harness.execution.ray import read_address


def test_an_address_or_a_file_that_announces_it(tmp_path):
    assert read_address("node1:6379") == ("node1:6379", 1, 0.0)
    (tmp_path / "address").write_text("198.18.77.1:41234 2 120\n")
    assert read_address(str(tmp_path / "address")) == ("198.18.77.1:41234", 2, 120.0)
