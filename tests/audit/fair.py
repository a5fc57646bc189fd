"""The records of a fair suite, in memory: made-up numbers that hold every rule, to be bent by tests."""

from dataclasses import replace

import pyarrow as pa

from benchmarks.acdc import ACDC
from harness.audit.records import AuditedRun, view_suite
from harness.records.budget import Budget
from harness.records.reader import SuiteRecords
from harness.records.schema import DatasetRef
from tests.synthetic import RunSpec, key, ledger_line, write_records

CHECKSUM = "c" * 64


def fair_suite(folder):
    spec = RunSpec(
        labelled=(7,), subsets=3, seeds=3, phases=("ED",), missed_share=0.1, budget=Budget(steps=20), checksum=CHECKSUM
    )
    data = {"dataset": DatasetRef(name="acdc", version=1, checksum=CHECKSUM)}
    spec = replace(spec, overrides={key(planned_run): data for planned_run in spec.planned_runs})
    suite = view_suite(SuiteRecords(write_records(folder / "fair", spec)))
    return replace(suite, runs=tuple(map(_fair_run, suite.runs)))


def _fair_run(run):
    assert run.result is not None
    cases = cases_of(run)
    names = dict(zip(sorted(set(cases["patient"])), ACDC.splits["test"], strict=True))
    run = result(labelled_images_seen=run.result.images_seen)(run) if run.entry.startswith("supervised") else run
    return with_cases(run, cases.assign(patient=cases["patient"].map(names)))


def cases_of(run):
    assert run.cases is not None
    return run.cases.to_pandas()


def with_cases(run, cases):
    return replace(run, cases=pa.Table.from_pandas(cases, preserve_index=False))


def bend(suite, change, planned_run="ua_mt/7/0/1"):
    runs = tuple(change(run) if str(run.planned_run) == planned_run else run for run in suite.runs)
    assert any(new is not old for new, old in zip(runs, suite.runs, strict=True))
    return replace(suite, runs=runs)


def planned(suite, keep):
    entries = [entry for entry in suite.selection.entries if keep(entry.planned_run)]
    selection = suite.selection.model_copy(update={"entries": entries})
    return replace(suite, selection=selection, runs=tuple(run for run in suite.runs if keep(run.planned_run)))


def result(**update):
    def change(run):
        assert run.result is not None
        return replace(run, result=run.result.model_copy(update=update))

    return change


def seen(**update):
    def change(run):
        assert run.result is not None
        assert run.result.observed is not None
        return result(observed=run.result.observed.model_copy(update=update))(run)

    return change


def asked(**update):
    return lambda run: replace(run, asked=run.asked.model_copy(update=update))


def engine(**update):
    return lambda run: asked(engine=run.asked.engine.model_copy(update=update))(run)


def environment(**update):
    def change(run):
        assert run.environment is not None
        return replace(run, environment=run.environment.model_copy(update=update))

    return change


def rows(column, value, which=0):
    def change(run):
        cases = cases_of(run)
        cases.loc[which, column] = value
        return with_cases(run, cases)

    return change


def trial(suite, method, steps, *, tested=False, number=0):
    run = suite.runs[0].asked.model_copy(update={"role": "search", "method": method, "seed": 100 + number})
    start, end = ledger_line("start"), ledger_line("end", steps=steps, device_seconds=0.2 * steps)
    return AuditedRun(run.id, run, (start, end), suite.runs[0].result, tested)
