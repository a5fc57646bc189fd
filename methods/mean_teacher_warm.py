"""Mean teacher from supervised weights, at equal compute: see mean_teacher.py and harness/api/warm_start.py.

A third of the budget trains the student on labelled images alone. Own reading, not of a paper.
"""

from harness.api.staged import rate, share
from harness.api.warm_start import WarmStart, WarmStartParams
from methods.mean_teacher import MeanTeacher, MeanTeacherParams


class MeanTeacherWarmParams(MeanTeacherParams, WarmStartParams):
    share_train: float = share(2 / 3, "mean teacher")
    rate_train: float = rate("mean teacher")


class MeanTeacherWarm(WarmStart, MeanTeacher):
    """Supervised training, then mean teacher."""

    name = "mean_teacher_warm"
    Params = MeanTeacherWarmParams
    params: MeanTeacherWarmParams

    def hand_over(self) -> None:
        self.teacher.load_state_dict(self.student.state_dict())
