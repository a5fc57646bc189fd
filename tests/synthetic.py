"""A run directory full of made-up records, written through the real store: for tests of all that reads records."""

import io
import json
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from harness.api.strict import digest
from harness.leaderboard.leaderboard import Leaderboard, build_leaderboard, write_leaderboard
from harness.records.artifacts import CAPTION
from harness.records.budget import Budget, StageSteps
from harness.records.checksums import seal_record
from harness.records.files import write_record, write_text
from harness.records.ledger import LedgerLine, ProcessInfo
from harness.records.reader import SuiteRecords
from harness.records.run_folder import RunFolder
from harness.records.schema import (
    DatasetRef,
    Engine,
    Environment,
    Failure,
    FinalWeights,
    Observed,
    PlannedRun,
    Preprocessing,
    Result,
    Run,
    Spent,
    Trial,
    Validation,
)
from harness.records.suite_folder import Selection, SelectionEntry, SuiteFolder
from harness.suite.load import Suite
from harness.suite.yaml_text import parse

GAINS: Mapping[str, float] = {"supervised": 0.0, "ua_mt": 0.15, "mc_net": 0.3, "supervised_full": 0.0}
"""Method name -> gain in logit(Dice) over the labelled-only baseline."""

FULLY_SUPERVISED = "supervised_full"
SEARCH_SEED = 100
DIAGONAL_VOXELS = 300.7
PlannedRunKey = tuple[str, int | None, int, int]
"""(method, labelled, subset, seed)."""

AT = "2026-11-02T10:00:00Z"
NOTHING = Spent(useful_device_seconds=0, lost_device_seconds=0, useful_steps=0, lost_steps=0, attempts=0)
PROCESS = ProcessInfo(host="gpu-node", pid=1, process_started_at=None, gpu_uuid=None)
"""Of every attempt: outside of Slurm."""


@dataclass(frozen=True)
class RunSpec:
    """What to write. Slots in `failed` get a failure record, in `missing` nothing at all (planned, not run),
    in `interrupted` a ledger of two attempts with lost seconds.

    search:       method -> hyper-parameters of its search runs, which run for a minute and open no test split.
    chosen:       method -> hyper-parameters of its finals, where they are not the default ones.
    methods:      name -> gain in logit(Dice); the reference `supervised_full` has one run per subset 0 and seed.
    centers:      methods with class centres: validations that show the assignment, arrays, and a figure.
    overrides:    planned run -> fields of its Run that differ (method_version, budget, protocol_version, ...).
    environments: planned run -> the environment it ran in, where it is not `environment`.
    spacing_mm:   in-plane voxel size, None leaves the millimetre columns empty.
    ladder:       rungs in place of `budget`; rung_gains: (method, rung) -> further gain in logit(Dice) on that rung.
    unrun:        rungs that are planned, and of which nothing has run.
    """

    methods: Mapping[str, float] = field(default_factory=lambda: dict(GAINS))
    labelled: tuple[int, ...] = (3, 7)
    subsets: int = 1
    seeds: int = 3
    patients: int = 20
    phases: tuple[str | None, ...] = ("ED", "ES")
    classes: tuple[str, ...] = ("RV", "Myo", "LV")
    validations: int = 5
    history_steps: int = 20
    missed_share: float = 0.01
    spacing_mm: float | None = None
    budget: Budget = Budget(device_seconds=300)
    search: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    chosen: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checksum: str = "c" * 64
    failed: Collection[PlannedRunKey] = ()
    missing: Collection[PlannedRunKey] = ()
    interrupted: Collection[PlannedRunKey] = ()
    centers: Collection[str] = ()
    failure: Failure = Failure(kind="nan", reason="loss became NaN at step 17")
    overrides: Mapping[PlannedRunKey, Mapping[str, Any]] = field(default_factory=dict)
    environments: Mapping[PlannedRunKey, Environment] = field(default_factory=dict)
    ladder: tuple[int, ...] = ()
    rung_gains: Mapping[tuple[str, int | None], float] = field(default_factory=dict)
    unrun: Collection[int] = ()

    @property
    def planned_runs(self) -> list[PlannedRun]:
        return [
            PlannedRun(entry=method, labelled=labelled, subset=subset, seed=seed, rung=rung)
            for rung in (self.ladder or (None,))
            for method in self.methods
            for labelled in ((None,) if method == FULLY_SUPERVISED else self.labelled)
            for subset in range(1 if method == FULLY_SUPERVISED else self.subsets)
            for seed in range(self.seeds)
        ]

    @property
    def environment(self) -> Environment:
        return Environment(
            device_model="Synthetic CPU @ 2.50GHz", device_type="cpu", threads=1, precision="float32", torch="2.13.0",
            cuda=None, data_checksum=self.checksum, shown={"commit": "0" * 40, "host": "nowhere"},
        )  # fmt: skip

    def run(self, planned_run: PlannedRun) -> Run:
        fields: dict[str, Any] = {
            "method": planned_run.entry,
            "method_version": 1,
            "params": dict(self.chosen.get(planned_run.entry, {"consistency": 0.1})),
            "dataset": DatasetRef(name="phantom", version=1, checksum=self.checksum),
            "preprocessing": Preprocessing(size=(96, 96)),
            "labelled": planned_run.labelled,
            "subset": planned_run.subset,
            "seed": planned_run.seed,
            "engine": Engine(batch_size=8),
            "budget": self.budget if planned_run.rung is None else rung_budget(planned_run.rung),
        }
        return Run(**{**fields, **self.overrides.get(key(planned_run), {})})

    def searched(self) -> Iterator[tuple[PlannedRun, Run]]:
        """The search runs, on a subset and a seed that no final uses; all of a method at the same planned run."""
        for method, points in self.search.items():
            planned_run = PlannedRun(entry=method, labelled=self.labelled[-1], subset=self.subsets, seed=SEARCH_SEED)
            for params in points:
                changes = {"role": "search", "params": dict(params), "budget": Budget(device_seconds=60)}
                yield planned_run, self.run(planned_run).model_copy(update=changes)

    def trial(self, planned_run: PlannedRun) -> Trial | None:
        """The trial whose hyper-parameters a final runs with; None without one."""
        params = self.run(planned_run).params
        tried = [run for searched, run in self.searched() if searched.entry == planned_run.entry]
        trials = (
            Trial(entry=planned_run.entry, study=0, point=point, varied=run.params, run=run.id)
            for point, run in enumerate(tried)
            if run.params == params
        )
        return next(trials, None)


def rung_budget(rung: int) -> Budget:
    """Of a method whose step costs as much as a supervised one."""
    return Budget(reference_steps=rung, stages=(StageSteps(name="train", share=1.0, steps=rung),))


def key(planned_run: PlannedRun) -> PlannedRunKey:
    return planned_run.entry, planned_run.labelled, planned_run.subset, planned_run.seed


def write_records(root: Path, spec: RunSpec | None = None) -> SuiteFolder:
    """Write suite, selection, environments, runs, ledgers, histories, cases and results under `root`."""
    spec = spec or RunSpec()
    store = SuiteFolder.create(root)
    text = (
        f"name: {root.name}\ndataset: phantom\npreprocessing: {{size: [96, 96]}}\nlabelled: {list(spec.labelled)}\n"
        f"subsets: {list(range(spec.subsets))}\nseeds: {list(range(spec.seeds))}\n"
        f"methods: {{{', '.join(f'{name}: ' for name in spec.methods)}}}\n"
        f"budget: {f'{{ladder: {list(spec.ladder)}}}' if spec.ladder else '{device_seconds: 300}'}\n"
    )
    suite_hash = Suite.model_validate(parse(text)[0]).hash
    store.keep_suite(text, suite_hash)
    entries = [
        SelectionEntry(
            planned_run=planned_run,
            params=spec.run(planned_run).params,
            run=spec.run(planned_run).id,
            ranked=planned_run.labelled is not None,
            baseline=planned_run.entry == "supervised",
            trial=spec.trial(planned_run),
        )
        for planned_run in spec.planned_runs
    ]
    store.write_selection(Selection(suite_hash=suite_hash, engine=Engine(batch_size=8), entries=entries))
    for planned_run in spec.planned_runs:
        if key(planned_run) not in spec.missing and planned_run.rung not in spec.unrun:
            run = spec.run(planned_run)
            write_run(store.by_id(run.id), run, planned_run, spec)
    for planned_run, run in spec.searched():
        write_run(store.by_id(run.id), run, planned_run, spec)
    return store


def board_of(store: SuiteFolder) -> Leaderboard:
    return build_leaderboard(SuiteRecords(store))


def write_tables(store: SuiteFolder) -> tuple[Path, ...]:
    return write_leaderboard(board_of(store), store.leaderboard)


def write_run(folder: RunFolder, run: Run, planned_run: PlannedRun, spec: RunSpec):
    failed = key(planned_run) in spec.failed
    folder.create(run)
    environment = folder.write_environment(spec.environments.get(key(planned_run), spec.environment))
    write_ledger(folder, run, environment, interrupted=key(planned_run) in spec.interrupted, failed=failed)
    folder.write_history_part(spec.history_steps, history_frame(planned_run, spec))
    if not failed and run.role == "final":
        write_record(folder.final, FinalWeights(weights_sha256=digest(key(planned_run))))
        folder.write_cases(cases_frame(planned_run, spec))
        if planned_run.entry in spec.centers:
            folder.write_arrays({"centres": np.eye(len(spec.classes) + 1, dtype=np.float32)})
            folder.write_figures({"centers": picture(f"centres of {planned_run}")})
    folder.write_result(_result(folder, run, planned_run, spec, environment))


def edit_record(path: Path, change: Callable[[dict[str, Any]], object]):
    """Change a JSON record in place, and give it the checksum of its new content."""
    raw = json.loads(path.read_text(encoding="utf-8"))
    raw.pop("sha256")
    change(raw)
    write_text(path, seal_record(json.dumps(raw)))


def write_checksums(folder: RunFolder):
    """Write the result again, so that it knows what the run's other files hold now."""
    folder.write_result(folder.require_result())


def ledger_line(kind: str, attempt: int = 0, **more: object) -> LedgerLine:
    return LedgerLine.model_validate({"kind": kind, "attempt": attempt, "at": AT, "environment": "e" * 64, **more})


def write_ledger(folder: RunFolder, run: Run, environment: str, *, interrupted: bool, failed: bool):
    """An interrupted run: killed at 60 % after a checkpoint at 50 %, then resumed. A failed one stops at 10 %."""
    seconds, steps = _full_spent(run)
    share = 0.1 if failed else 1.0

    def line(kind: str, attempt: int, base: float, done: float):
        folder.ledger.append(
            ledger_line(
                kind,
                attempt,
                environment=environment,
                base_device_seconds=base * seconds,
                base_steps=round(base * steps),
                device_seconds=done * seconds,
                steps=round(done * steps),
                wall_seconds={"train": done * seconds, "eval": 0.05 * done * seconds},
                process=PROCESS if kind == "begin" else None,
            )
        )

    line("begin", 0, 0.0, 0.0)
    line("start", 0, 0.0, 0.0)
    if interrupted:
        line("checkpoint", 0, 0.0, 0.5)
        line("heartbeat", 0, 0.0, 0.6)
        line("begin", 1, 0.0, 0.0)
        line("start", 1, 0.5, 0.0)
        line("end", 1, 0.5, 0.5)
    else:
        line("end", 0, 0.0, share)


def _full_spent(run: Run) -> tuple[float, int]:
    if run.budget.counts_steps:
        return 0.2 * run.budget.total_steps, run.budget.total_steps
    seconds = 0.999 * run.budget.amount
    return seconds, round(seconds / 0.2)


def _generator(*parts: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(parts).encode()))


def _sigmoid(value: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-value)))


def _level(planned_run: PlannedRun, spec: RunSpec) -> float:
    """Mean logit(Dice) of a planned run: 60 % Dice at 3 labelled, 77 % at 7, 90 % with all."""
    labelled = 2.2 if planned_run.labelled is None else 0.4 + 0.8 * np.log(planned_run.labelled / 3) / np.log(7 / 3)
    further = spec.rung_gains.get((planned_run.entry, planned_run.rung), 0.0)
    return float(labelled + spec.methods[planned_run.entry] + further)


def _tuned(run: Run) -> float:
    """Gain in logit(Dice) of a search run's hyper-parameters: fixed, and without any meaning."""
    return 0.0 if run.role == "final" else float(_generator("params", sorted(run.params.items())).normal(0.0, 0.3))


def cases_frame(planned_run: PlannedRun, spec: RunSpec) -> pd.DataFrame:
    frames = [_selection_frame(planned_run, spec, selection) for selection in ("last", "best_val")]
    return pd.concat(frames, ignore_index=True)


def _selection_frame(planned_run: PlannedRun, spec: RunSpec, selection: str) -> pd.DataFrame:
    index = pd.MultiIndex.from_product(
        [range(spec.patients), range(len(spec.phases)), range(len(spec.classes))], names=["p", "f", "c"]
    ).to_frame(index=False)
    patient_effect = _generator("patients").normal(0.0, 0.6, 10_000)[index.p.to_numpy()]
    noise = _generator(selection, key(planned_run)).normal(0.0, 0.25, len(index))
    seed_effect = _generator("seed", key(planned_run)).normal(0.0, 0.05)
    logit = _level(planned_run, spec) + patient_effect + 0.3 * index.c.to_numpy() + noise + seed_effect
    missed = _generator("missed", selection, key(planned_run)).random(len(index)) < spec.missed_share
    dice = np.where(missed, 0.0, _sigmoid(logit))
    frame = pd.DataFrame({
        "checkpoint": selection,
        "case": [f"patient{p + 1:03d}_{spec.phases[f] or 'scan'}" for p, f in zip(index.p, index.f, strict=True)],
        "patient": [f"patient{p + 1:03d}" for p in index.p],
        "phase": [spec.phases[f] for f in index.f],
        "class_name": [spec.classes[c] for c in index.c],
        "dice": dice,
        "nsd_voxel": dice**2,
        "nsd_mm": dice * (np.nan if spec.spacing_mm is None else 1.0),
    })  # fmt: skip
    distances = {"hd95": 30.0 * (1.0 - dice) + 1.0, "asd": 8.0 * (1.0 - dice) + 0.2, "assd": 9.0 * (1.0 - dice) + 0.2}
    for name, voxels in distances.items():
        frame[f"{name}_voxel"] = np.where(missed, DIAGONAL_VOXELS, voxels)
        frame[f"{name}_mm"] = frame[f"{name}_voxel"] * (np.nan if spec.spacing_mm is None else spec.spacing_mm)
    frame["missed"] = missed
    frame["spurious"] = False
    frame["voxels_true"] = 5000
    frame["voxels_predicted"] = np.where(missed, 0, 4800)
    return frame


def history_frame(planned_run: PlannedRun, spec: RunSpec) -> pd.DataFrame:
    steps = np.arange(spec.history_steps)
    progress = steps / max(1, spec.history_steps)
    loss = np.exp(-2.0 * progress) + _generator("loss", key(planned_run)).random(len(steps)) * 0.05
    return pd.DataFrame({
        "stage": "train", "step": steps, "step_in_stage": steps, "progress_run": progress,
        "progress_stage": progress, "learning_rate": 0.01 * (1.0 - progress) ** 0.9, "step_seconds": 0.2,
        "loss": loss, "term/cross_entropy": 0.5 * loss, "term/dice": 0.5 * loss,
    })  # fmt: skip


def picture(caption: str) -> bytes:
    """A small PNG that carries its caption, as the engine stores what a method draws."""
    texts, file = PngInfo(), io.BytesIO()
    texts.add_text(CAPTION, caption)
    Image.new("RGB", (160, 90), (0, 114, 178)).save(file, "PNG", pnginfo=texts)
    return file.getvalue()


def _shown(planned_run: PlannedRun, spec: RunSpec, validation: int) -> dict[str, float]:
    """What a method with centres shows at a validation: in order until the third one, then as at the end."""
    if planned_run.entry not in spec.centers:
        return {}
    count = len(spec.classes) + 1
    held = np.roll(np.arange(count), int(validation >= 2))
    shown = {f"assignment/{i}": float(centre) for i, centre in enumerate(held)}
    return {"temperature_student": 0.5, "assignment_changes": float(count * (validation >= 2)), **shown}


def _validations(run: Run, planned_run: PlannedRun, spec: RunSpec) -> list[Validation]:
    seconds, steps = _full_spent(run)
    noise = _generator("validations", key(planned_run)).normal(0.0, 0.01, (spec.validations, len(spec.classes)))
    validations = []
    for i in range(spec.validations):
        progress = (i + 1) / spec.validations
        level = _sigmoid(np.array(_level(planned_run, spec) + _tuned(run) + 0.3 * np.arange(len(spec.classes))))
        dice = np.clip(level * (1.0 - np.exp(-3.0 * progress)) + noise[i], 0.0, 1.0)
        unlabelled_dice = (
            None if planned_run.labelled is None else dict(zip(spec.classes, map(float, 0.9 * dice), strict=True))
        )
        validations.append(
            Validation(validation=i, progress=progress, step=round(progress * steps), device_seconds=progress * seconds,
                 dice=dict(zip(spec.classes, map(float, dice), strict=True)), diagnostics=_shown(planned_run, spec, i),
                 unlabelled_dice=unlabelled_dice)
        )  # fmt: skip
    return validations


def _observed(spec: RunSpec) -> Observed:
    """A method that leaves its images alone and works on one thread."""
    cpu_seconds = 0.2 * spec.history_steps
    return Observed(sampled="weak", declared=(), steps=5, images_same=40, process_cpu_seconds=cpu_seconds)


def _result(folder: RunFolder, run: Run, planned_run: PlannedRun, spec: RunSpec, environment: str) -> Result:
    spent: Spent = folder.ledger.spent()
    failed = key(planned_run) in spec.failed
    validations = [] if failed else _validations(run, planned_run, spec)
    best = max(range(len(validations)), key=lambda i: validations[i].mean_dice or 0.0) if validations else None
    return Result(
        run=run.id,
        status="failed" if failed else "ok",
        failure=spec.failure if failed else None,
        environment=environment,
        shown=spec.environments.get(key(planned_run), spec.environment).shown,
        spent=spent,
        stage_device_seconds={"train": spent.useful_device_seconds},
        stage_steps={"train": spent.useful_steps},
        longest_step_seconds=0.31,
        wall_seconds={"train": spent.useful_device_seconds, "eval": 12.0, "idle": 0.5, "unaccounted": 0.2},
        images_seen=run.engine.batch_size * spent.useful_steps,
        labelled_images_seen=run.engine.batch_size // 2 * spent.useful_steps,
        parameters_training=2_577_624 if planned_run.entry == "mc_net" else 1_813_764,
        parameters_predictor=1_813_764,
        peak_memory_bytes=1_000_000_000,
        validations=validations,
        best_validation=best,
        weights_sha256=None if failed else digest(key(planned_run)),
        observed=None if failed else _observed(spec),
        finished_at=AT,
    )
