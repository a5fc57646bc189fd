"""An adaptive search without training: runs are a meter and a ledger in memory, processes die as a test says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle

from harness.records.budget import Budget
from harness.records.ledger import LedgerLine, summarise
from harness.records.schema import Failure, Infeasible, PlannedRun, Trial, Validation
from harness.search.proposals import Adaptive, Proposal
from harness.suite.trials import PlannedTrial
from harness.train.meter import Meter
from tests.synthetic import RunSpec, ledger_line

SPACE = 50
"""Different points that a sampler can come to, unless a test says otherwise."""


RUN = RunSpec().run(PlannedRun(entry="made_up", labelled=1, subset=1, seed=100))


@dataclass
class FakeRun:
    """A run's folder and, while it runs, its process: steps that cost what a script says, two validations.

    It is its own ledger, of lines in memory, and its own lease, which its process holds.
    """

    planned: PlannedTrial
    costs: Iterator[float]
    barren: bool = False
    fails: Failure | None = None
    kept: list[LedgerLine] = field(default_factory=list)
    owned: bool = False
    done: bool = False
    status: str = ""
    failure: Failure | None = None
    attempt: int = -1
    meter: Meter = field(init=False)
    saved: dict[str, object] = field(default_factory=dict)
    base: tuple[float, int] = (0.0, 0)
    allowance: float = 0.0

    ledger = lease = property(lambda self: self)

    def lines(self):
        return list(self.kept)

    def spent(self):
        return summarise(self.kept)

    def held(self):
        return self.owned

    def validations(self):
        spent = self.spent()
        used = spent.useful_steps if self.planned.run.budget.steps else spent.useful_device_seconds
        share = used / self.planned.run.budget.amount
        return [
            Validation(validation=k, progress=k / 2, step=1, device_seconds=1, dice={"a": 0.5})
            for k in (1, 2)
            if share >= k / 2
        ]

    def result(self):
        return self if self.done else None

    def write(self, kind):
        seconds, steps = self.meter.seconds - self.base[0], self.meter.steps - self.base[1]
        base = {"base_device_seconds": self.base[0], "base_steps": self.base[1]}
        self.kept.append(ledger_line(kind, self.attempt, device_seconds=max(0.0, seconds), steps=steps, **base))

    def start(self, allowance):
        self.attempt += 1
        self.meter = Meter(self.planned.run.budget, [1.0])
        if self.saved:
            self.meter.load_state_dict(self.saved)
        self.base = self.meter.seconds, self.meter.steps
        self.owned = True
        self.write("start")
        spent = self.spent()
        lost = spent.lost_steps if self.planned.run.budget.steps else spent.lost_device_seconds
        self.allowance = allowance - lost

    def save(self):
        self.write("checkpoint")
        self.saved = self.meter.state_dict()

    def step(self):
        if self.barren:
            self.failure = Failure(kind="error", reason="made up")
            self.end("failed")
        elif self.fails is not None and self.validations():
            self.failure = self.fails
            self.end("failed")
        elif not self.meter.may_step():
            self.end("ok")
        elif not self.meter.fits(self.allowance):
            self.end("ended_early")
        else:
            self.meter.count_step()
            self.meter.charge(next(self.costs))
            self.write("heartbeat")

    def end(self, status):
        self.save()
        self.write("end")
        self.done, self.status, self.owned = True, status, False

    def die(self):
        self.owned = False


@dataclass
class FakeStore:
    """Runs by id, and what trials.json would say; it is also the study that plans and records.

    failures: of points, which come after the first validation.
    infeasible_points: for which there is no trial; refused: those that were proposed.
    """

    budget: Budget
    costs: Sequence[float]
    barren_points: Collection[int] = ()
    failures: Mapping[int, Failure] = field(default_factory=dict)
    runs: dict[str, FakeRun] = field(default_factory=dict)
    named: list[PlannedTrial] = field(default_factory=list)
    infeasible_points: Collection[int] = ()
    refused: list[Infeasible] = field(default_factory=list)

    def by_id(self, run):
        return self.runs[run]

    def plan(self, number, point):
        place = 0 if point is None else int(str(point["point"]))
        if place in self.infeasible_points:
            return Infeasible(entry="made_up", study=0, point=number, varied={"point": place}, reason="made up")
        return self.trial_at(number, place)

    def trial_at(self, number, place):
        run = RUN.model_copy(update={"role": "search", "params": {"point": place}, "budget": self.budget})
        trial = Trial(entry="made_up", study=0, point=number, varied={"point": place}, run=run.id)
        planned = PlannedTrial(trial, run)
        barren, fails = place in self.barren_points, self.failures.get(place)
        self.runs.setdefault(run.id, FakeRun(planned, cycle(self.costs), barren, fails))
        return planned

    def record(self, planned):
        if isinstance(planned, Infeasible):
            self.refused.append(planned)
            return
        assert planned.run.id not in {one.run.id for one in self.named}, "a trial is named once"
        self.named.append(planned)

    @property
    def spent(self):
        total = 0.0
        for one in self.runs.values():
            own = one.spent()
            steps = self.budget.steps is not None
            total += own.useful_steps + own.lost_steps if steps else own.useful_device_seconds + own.lost_device_seconds
        return total


@dataclass
class Points:
    """A sampler that goes through a list of points again and again, after those on record."""

    recorded: int
    script: Sequence[int]
    asked: int = 0
    told: dict[str, tuple[float | None, bool]] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)

    def ask(self, name):
        number = self.asked
        self.asked += 1
        if number < self.recorded or not self.script:
            return None
        return {"point": self.script[(number - self.recorded) % len(self.script)]}

    def tell(self, name, dice, failed):
        assert name not in self.told, "told once"
        self.told[name] = dice, failed

    def refuse(self, name):
        self.refused.append(name)


@dataclass
class Driver:
    """What Tune does with proposals: so many at once, each step of each in turn."""

    store: FakeStore
    total: float
    workers: int
    script: Sequence[int]
    running: dict[str, FakeRun] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)
    names: int = 0
    last: str = ""

    def __post_init__(self):
        if not self.store.named:
            self.store.record(self.store.plan(0, None))  # the plan names the default before anything runs
        self.sampler = Points(len(self.store.named), self.script)
        self.adaptive = Adaptive(self.store, self.total, self.store.named, self.sampler, self.store)  # type: ignore[arg-type]

    def fill(self):
        while len(self.running) < self.workers:
            name = str(self.names)
            proposal = self.adaptive.next(name)
            if not isinstance(proposal, Proposal):
                self.last = proposal
                return bool(self.running) or proposal == "wait"
            self.names += 1
            run = self.store.by_id(proposal.planned.run.id)
            self.order.append(run.planned.run.id)
            self.running[name] = run
            if not run.done:
                run.start(proposal.allowance)
        return True

    def turn(self):
        for name, run in list(self.running.items()):
            if not run.done:
                run.step()
            if run.done:
                self.ended(name)

    def ended(self, name):
        run = self.running.pop(name)
        validations = run.validations()
        self.adaptive.ended(name, validations[-1].mean_dice if validations else None, run.status == "failed")

    def crash(self):
        for run in self.running.values():
            run.die()

    def again(self):
        return Driver(self.store, self.total, self.workers, self.script)

    def finish(self, turns=100_000):
        for _ in range(turns):
            if not self.fill():
                return self
            self.turn()
        raise AssertionError("the search does not end")
