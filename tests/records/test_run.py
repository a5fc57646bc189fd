import pandas as pd
import pytest

from harness.api.errors import RecordError, UsageError
from harness.records.schema import Result
from harness.records.suite_folder import SuiteFolder
from tests.support import cases_of, environment_of
from tests.synthetic import AT, NOTHING, RunSpec, edit_record

SPEC = RunSpec()
RUN = SPEC.run(SPEC.planned_runs[0])


def environment(device="cpu one", **shown):
    return SPEC.environment.model_copy(update={"device_model": device, "shown": shown})


def result_of(fingerprint=""):
    return Result(run=RUN.id, status="ok", environment=fingerprint, spent=NOTHING, finished_at=AT)


def test_reading_where_nothing_was_run_says_what_to_run(tmp_path):
    with pytest.raises(UsageError, match=r"acdc_mini.*harness run --suite acdc_mini"):
        SuiteFolder.open(tmp_path / "acdc_mini")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RecordError, match=r"selection\.json is missing"):
        SuiteFolder.create(tmp_path / "new").selection()


def test_a_run_record_that_was_edited_is_refused(tmp_path):
    store = SuiteFolder.create(tmp_path)
    store.by_id(RUN.id).create(RUN)
    edit_record(tmp_path / "runs" / RUN.id / "run.json", lambda raw: raw.update(seed=5))
    with pytest.raises(RecordError, match=r"run\.json.*not the folder's"):
        _ = store.by_id(RUN.id).run


def test_done_means_a_result(tmp_path):
    folder = SuiteFolder.create(tmp_path).by_id(RUN.id)
    assert (folder.done, folder.result()) == (False, None)
    folder.create(RUN)
    folder.write_cases(pd.DataFrame({"dice": [0.5]}))
    assert folder.result() is None
    written = folder.write_result(result_of())
    assert written.files.keys() == {"cases.parquet"}
    assert (folder.done, folder.result()) == (True, written)
    folder.reopen()
    folder.reopen()
    assert (folder.done, folder.result()) == (False, None)
    assert cases_of(folder)["dice"].tolist() == [0.5]


def test_environments_are_told_apart_by_what_is_compared(tmp_path):
    folder = SuiteFolder.create(tmp_path).by_id(RUN.id)
    first = folder.write_environment(environment(host="a", commit="1"))
    assert folder.write_environment(environment(host="b", commit="2")) == first
    other = folder.write_environment(environment("cpu two"))
    assert other != first
    assert {path.stem for path in (tmp_path / "environments").iterdir()} == {first, other}
    folder.create(RUN)
    folder.write_result(result_of(other))
    read = environment_of(folder)
    assert read is not None
    assert read.device_model == "cpu two"


def test_history_is_read_in_order_from_parts_or_from_the_merged_file(tmp_path):
    folder = SuiteFolder.create(tmp_path).by_id(RUN.id)
    assert folder.history().empty
    for first, last in ((10, 12), (0, 10), (12, 100)):
        folder.write_history_part(last, pd.DataFrame({"step": range(first, last)}))
    assert folder.history()["step"].tolist() == list(range(100))
    pd.DataFrame({"step": range(100)}).to_parquet(folder.path / "history.parquet", index=False)
    assert folder.history()["step"].tolist() == list(range(100))
