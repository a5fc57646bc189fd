import threading
from dataclasses import dataclass, field

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from harness.api.errors import DiskError, RecordError
from harness.records.checksums import seal_line
from harness.records.ledger import Ledger, summarise, summarise_at_rest, useful_by_attempt, wall_by_phase
from harness.records.schema import Spent
from tests.records.processes import no_file_above
from tests.support import flip_bit
from tests.synthetic import ledger_line


def line(kind, attempt=0, spent=(0, 0), base=(0, 0), **more):
    seconds = {"device_seconds": spent[0], "base_device_seconds": base[0]}
    return ledger_line(kind, attempt, **seconds, steps=spent[1], base_steps=base[1], **more)


def total(useful, lost, attempts):
    """Both in seconds and steps, two of which take a second."""
    seconds = {"useful_device_seconds": useful, "lost_device_seconds": lost}
    return Spent(**seconds, useful_steps=2 * useful, lost_steps=2 * lost, attempts=attempts)


def test_by_hand_kill_resume_and_a_changed_environment():
    """10 s spent, checkpoint at 6 s, killed; resumed from 6 s, 3 s more; new environment: from 0, 20 s to the end.

    Spent in all 10 + 3 + 20 = 33 s; the last attempt holds 20 s; 13 s are lost. Steps likewise, 2 a second.
    """
    lines = [
        line("start"),
        line("checkpoint", 0, (6, 12)),
        line("heartbeat", 0, (10, 20)),
        line("start", 1, base=(6, 12)),
        line("heartbeat", 1, (3, 6), base=(6, 12)),
    ]
    assert summarise(lines) == total(useful=9, lost=4, attempts=2)
    lines += [line("start", 2), line("end", 2, (20, 40))]
    assert summarise(lines) == total(useful=20, lost=13, attempts=3)


def test_an_attempt_that_ended_before_it_began_changes_nothing():
    """Its process found the disk full while loading: what the attempt before it holds stays useful."""
    lines = [line("start"), line("end", 0, (5, 9)), line("end", 1)]
    assert summarise(lines) == summarise(lines[:2])


def test_wall_seconds_add_up_over_attempts():
    lines = [
        line("heartbeat", 0, (1, 1), wall_seconds={"train": 1.0, "data": 2.0}),
        line("end", 0, (5, 9), wall_seconds={"train": 6.0, "data": 2.0}),
        line("end", 1, (1, 1), base=(5, 9), wall_seconds={"train": 1.5, "eval": 0.5}),
    ]
    assert wall_by_phase(lines) == {"train": 7.5, "data": 2.0, "eval": 0.5}


@dataclass
class Model:
    """An engine reduced to its book-keeping: every step is a thing of its own, alive, saved, or gone."""

    ledger: Ledger
    costs: list[float] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)
    saved: list[int] = field(default_factory=list)
    saved_environment: int = 0
    known: set[int] = field(default_factory=set)
    known_alive: list[int] = field(default_factory=list)
    environment: int = 0
    attempt: int = -1
    base: list[int] = field(default_factory=list)

    def cost(self, steps):
        return sum(self.costs[step] for step in steps)

    def start(self):
        self.attempt += 1
        self.base = list(self.saved) if self.saved_environment == self.environment else []
        self.alive = list(self.base)
        self.write("start")

    def write(self, kind):
        own = self.alive[len(self.base) :]
        base = (self.cost(self.base), len(self.base))
        self.ledger.append(line(kind, self.attempt, (self.cost(own), len(own)), base))
        self.known |= set(self.alive)
        self.known_alive = list(self.alive)

    def step(self, cost):
        self.costs.append(cost)
        self.alive.append(len(self.costs) - 1)

    def checkpoint(self):
        self.write("checkpoint")
        self.saved, self.saved_environment = list(self.alive), self.environment

    def live(self, event):
        if isinstance(event, float):
            self.step(event)
        elif event == "beat":
            self.write("heartbeat")
        elif event == "checkpoint":
            self.checkpoint()
        elif event == "stop":
            self.checkpoint()
            self.write("end")
            self.start()
        else:
            if event == "kill in a checkpoint":
                self.write("checkpoint")
            if event == "other machine":
                self.environment += 1
            self.start()


def born(path, history=None):
    path.unlink(missing_ok=True)
    model = Model(Ledger(path))
    model.start()
    for event in history or []:
        model.live(event)
    return model


# exact in binary, so that sums are exact in any order
costs = st.integers(1, 64).map(lambda eighths: eighths / 8)
events = st.lists(
    costs | st.sampled_from(["beat", "checkpoint", "kill", "kill in a checkpoint", "stop", "other machine"]),
    max_size=40,
)


@given(history=events)
@example(history=[1.0, "kill in a checkpoint", 2.0, "kill"])
@example(history=[1.0, "checkpoint", "other machine", 2.0, "checkpoint", "kill", 4.0, "beat"])
def test_useful_and_lost_are_all_that_was_spent(history, tmp_path):
    """Useful is what the last attempt holds; useful + lost is every step that the records know of, each once."""
    model = born(tmp_path / "ledger.jsonl")
    for event in history:
        model.live(event)
        spent = model.ledger.spent()
        gone = model.known - set(model.known_alive)
        assert spent.useful_device_seconds == model.cost(model.known_alive)
        assert spent.lost_device_seconds == model.cost(gone)
        assert (spent.useful_steps, spent.lost_steps) == (len(model.known_alive), len(gone))
        assert spent.attempts == model.attempt + 1


@given(history=st.lists(costs | st.sampled_from(["beat", "checkpoint", "kill", "stop"]), max_size=40))
def test_at_rest_foresees_what_the_next_attempt_will_find_lost(history, tmp_path):
    model = born(tmp_path / "ledger.jsonl")
    for event in history:
        if event not in ("kill", "stop"):
            model.live(event)
        else:
            if event == "stop":
                model.checkpoint()
                model.write("end")
            foreseen = summarise_at_rest(model.ledger.lines())
            model.start()
            assert model.ledger.spent() == foreseen.model_copy(update={"attempts": foreseen.attempts + 1})


def test_what_counts_of_each_attempt_by_hand():
    """10 s with 6 s in the checkpoint; 3 s more from there, all kept; 5 s more, of which a checkpoint holds 4 s."""
    lines = [
        line("start"),
        line("heartbeat", 0, (10, 20)),
        line("start", 1, base=(6, 12)),
        line("end", 1, (3, 6), base=(6, 12)),
        line("begin", 2),
        line("start", 3, base=(9, 18)),
        line("checkpoint", 3, (4, 8), base=(9, 18)),
        line("heartbeat", 3, (5, 10), base=(9, 18)),
    ]
    assert useful_by_attempt(lines, settled=True) == {0: 6, 1: 3, 3: 5}
    assert useful_by_attempt(lines, settled=False) == {0: 6, 1: 3, 3: 4}
    elsewhere = [*lines, line("start", 4), line("end", 4, (20, 40))]
    assert useful_by_attempt(elsewhere, settled=True) == {0: 0, 1: 0, 3: 0, 4: 20}


@given(history=events)
def test_without_repeated_lines_the_same_was_spent(history, tmp_path):
    model = born(tmp_path / "ledger.jsonl", history)
    whole = model.ledger.lines()
    model.ledger.forget_repeated()
    lines = model.ledger.lines()
    assert summarise(lines) == summarise(whole)
    assert summarise_at_rest(lines) == summarise_at_rest(whole)
    assert useful_by_attempt(lines, settled=True) == useful_by_attempt(whole, settled=True)
    assert wall_by_phase(lines) == wall_by_phase(whole)
    others, attempts = ("heartbeat", "checkpoint"), len({line.attempt for line in whole})
    assert [line for line in whole if line.kind not in others] == [line for line in lines if line.kind not in others]
    assert len([line for line in lines if line.kind in others]) <= 2 * attempts


@given(data=st.data(), cut=st.integers(0, 10**6))
def test_a_torn_last_line_costs_only_itself(data, cut, tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.unlink(missing_ok=True)
    whole = [line("heartbeat", 0, (k / 4, k)) for k in range(data.draw(st.integers(0, 4)))]
    for item in whole:
        Ledger(path).append(item)
    torn = seal_line(line("heartbeat", 0, (99, 99)).model_dump_json())
    with path.open("ab") as file:
        file.write(torn[: cut % len(torn)])  # without its end, at least without the newline
    assert Ledger(path).lines() == whole
    last = line("end", 1, (2, 2), base=(1, 1))
    Ledger(path).append(last)
    assert Ledger(path).lines() == [*whole, last]


@given(at=st.integers(0), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(at, bit, tmp_path):
    path = tmp_path / "ledger.jsonl"
    path.unlink(missing_ok=True)
    for k in range(3):
        Ledger(path).append(line("heartbeat", 0, (k / 4, k)))
    flip_bit(path, at % (path.stat().st_size - 1), bit)  # without the last newline, the last line's writer died
    with pytest.raises(RecordError, match=r"ledger\.jsonl: line \d is damaged"):
        Ledger(path).lines()


@pytest.mark.slow
@given(note=st.text())
@example(note="one\u2028line \x85 of a file \x1c name \x0b\r\n")
def test_any_note_stays_within_its_line(note, tmp_path):
    """Notes hold messages of errors, with whatever file names and line ends are in them."""
    path = tmp_path / "ledger.jsonl"
    path.unlink(missing_ok=True)
    remark = line("violation", note=note)
    Ledger(path).append(remark)
    assert Ledger(path).lines() == [remark]


def test_two_threads_append_without_tearing_each_other(tmp_path):
    ledger = Ledger(tmp_path / "ledger.jsonl")

    def write(attempt):
        for k in range(60):
            ledger.append(line("heartbeat", attempt, (k, k), note="x" * (37 * attempt)))

    threads = [threading.Thread(target=write, args=(attempt,)) for attempt in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    read = ledger.lines()
    assert len(read) == 240
    for attempt in range(4):
        assert [item.steps for item in read if item.attempt == attempt] == list(range(60))


def test_a_line_that_only_half_fits_is_no_success(tmp_path):
    """A nearly full disk takes the beginning of a write and reports that as a success."""
    path = tmp_path / "ledger.jsonl"
    Ledger(path).append(line("start"))
    with no_file_above(path.stat().st_size + 40), pytest.raises(DiskError, match=r"cannot write .*ledger\.jsonl"):
        Ledger(path).append(line("end", 0, (1, 1)))
    assert [item.kind for item in Ledger(path).lines()] == ["start"]
    Ledger(path).append(line("end", 0, (1, 1)))
    assert [item.kind for item in Ledger(path).lines()] == ["start", "end"]
