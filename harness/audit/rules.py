"""All rules in order, and the audit that applies them."""

from __future__ import annotations

from harness.audit import budget, clock, cluster, data, engine, environment, metrics, reporting, selection
from harness.audit.finding import Audit
from harness.audit.records import read_suite
from harness.audit.rule import Rule
from harness.records.schema import PROTOCOL_VERSION
from harness.records.suite_folder import RunStore

RULES: tuple[Rule, ...] = (
    data.splits,
    data.one_dataset,
    data.same_grid,
    data.several_subsets,
    selection.one_test,
    selection.last_checkpoint,
    selection.equal_tuning,
    budget.one_budget,
    budget.all_stages,
    budget.no_overspending,
    clock.outside_the_clock,
    clock.free_for_all,
    budget.counted_once,
    clock.schedules,
    clock.exposure,
    environment.one_device,
    environment.one_precision,
    environment.repeatable,
    engine.one_augmentation,
    engine.declared_augmentation,
    engine.one_engine,
    engine.one_network,
    engine.one_loss,
    engine.alike_test,
    metrics.whole_volumes,
    metrics.empty_masks,
    metrics.per_case_records,
    reporting.trained_here,
    reporting.floor_and_ceiling,
    reporting.failures_shown,
    reporting.one_version,
    reporting.intervals_shown,
    reporting.own_code,
    cluster.accounts_agree,
)
"""benchmarks/RULES.md lists the same ones; a test holds that."""


def audit(store: RunStore) -> Audit:
    """Check every rule on the records of a suite. Raises `RecordError` for records that cannot be read."""
    suite = read_suite(store)
    return Audit(
        suite=store.root.name,
        protocol_version=PROTOCOL_VERSION,
        units=suite.planned,
        finished=len(suite.finished),
        findings=tuple(rule.apply(suite) for rule in RULES),
    )
