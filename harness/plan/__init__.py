"""Suite + registry -> validated slots, trials and units. Pure: enumerates, touches no disk."""

from harness.plan.plan import Asked, Choice, Plan, Planned, dataset_of, make_plan, task_of, unprepared
from harness.plan.trials import PlannedTrial, make_trial

__all__ = [
    "Asked",
    "Choice",
    "Plan",
    "Planned",
    "PlannedTrial",
    "dataset_of",
    "make_plan",
    "make_trial",
    "task_of",
    "unprepared",
]
