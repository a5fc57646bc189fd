import pytest

from harness.api.errors import UsageError
from harness.leaderboard.inputs import read_input
from harness.records.budget import Budget
from harness.records.reader import SuiteRecords
from tests.synthetic import RunSpec, write_records

ODD = ("ua_mt", 7, 0, 1)


def comparisons(folder, **fields):
    return read_input(SuiteRecords(write_records(folder / "s", RunSpec(**fields)))).comparisons


def statuses(comparison):
    runs = comparison.runs
    return {status: int((runs["status"] == status).sum()) for status in set(runs["status"])}


@pytest.mark.parametrize(
    ("place", "change", "title"),
    [
        ("environments", {"device_model": "Another CPU"}, "device model Another CPU"),
        ("environments", {"data_checksum": "d" * 64}, "data checksum dddddddddd"),
        ("overrides", {"budget": Budget(device_seconds=600)}, "budget amount 600"),
        ("overrides", {"protocol_version": 2}, "protocol version 2"),
    ],
)
def test_other_conditions_are_in_another_table(tmp_path, place, change, title):
    odd = RunSpec().environment.model_copy(update=change) if place == "environments" else change
    first, second = comparisons(tmp_path, **{place: {ODD: odd}})
    assert statuses(first) == {"ok": 20, "elsewhere": 1}
    assert statuses(second) == {"ok": 1, "elsewhere": 20}
    assert second.title == title
    assert set(first.cases["run"]).isdisjoint(second.cases["run"])


def test_what_is_only_shown_does_not_split(tmp_path):
    environments = {ODD: RunSpec().environment.model_copy(update={"shown": {"commit": "1" * 40}})}
    (comparison,) = comparisons(tmp_path, environments=environments)
    assert statuses(comparison) == {"ok": 21}


def test_two_versions_of_a_method_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"selection\.json: ua_mt was run in 2 versions .*version 2: [0-9a-f]{10}\)"):
        comparisons(tmp_path, overrides={ODD: {"method_version": 2}})
