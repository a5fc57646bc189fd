from tests.synthetic import RunSpec

RUNGS = (500, 2000, 8000)

CLIMB = RunSpec(
    methods={"supervised": 0.0, "late": 0.0, "noise": 0.0, "supervised_full": 0.0},
    rung_gains={("late", 2000): 1.0, ("late", 8000): 1.0}, labelled=(3,), seeds=3, patients=16, phases=(None,),
    classes=("LV",), validations=1, history_steps=1, missed_share=0.0, ladder=RUNGS,
)  # fmt: skip
"""late is ahead of the baseline from 2000 reference steps on, noise nowhere."""
