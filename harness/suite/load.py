"""The suite: a YAML file that says what is compared with what, validated with the lines of its fields."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from harness.api.errors import RecordError, UsageError, suggest
from harness.api.params import Dimension
from harness.api.strict import Strict, digest, is_none
from harness.records.budget import Budget
from harness.records.schema import BY_FIRST_VERSION, Engine, EntryName, Preprocessing, SuiteName
from harness.suite.budget import SuiteBudget
from harness.suite.yaml_text import Location, YamlError, booleans_for_numbers, parse, read_text

HASH = re.compile("[0-9a-f]{64}")
"""Name of a version of a suite among the records."""

SUITES = Path(__file__).resolve().parents[2] / "benchmarks" / "suites"
SHARED_ENGINE = (
    "compile", "window_stride", "validation_stride", "largest_component", "nsd_tolerance_voxels", "nsd_tolerance_mm",
)  # fmt: skip
"""Engine settings of the test and of all steps, which no method may have otherwise than the others."""
RENAMED_FIELDS = {
    "looks": "validations",
    "look_stride": "validation_stride",
    "units_at_once": "runs_at_once",
    "unit_time": "run_time",
    "environment": "venv",
}
"""Fields of suites and cluster files of the first version, and what they are called now."""
NO_NUMBER = "true and false are no numbers; write 1 or 0 if that is meant"
ALIKE = "all methods have it alike; give it in the suite's own engine"

M = TypeVar("M", bound=Strict)


class MethodEntry(Strict):
    """An entry as the suite's file gives it: a method, or a variant of one under a name of its own.

    method: the registered method; None for the one that the entry is called after.
    params: hyper-parameters other than the method's defaults; the method's own class validates them in the plan.
    engine: engine settings other than the suite's; the leaderboard shows them.
    search: what a search does otherwise than the method declares: a dimension's new space, or null to leave it alone.
    """

    method: str | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    engine: dict[str, Any] = Field(default_factory=dict)
    search: dict[str, Dimension | None] = Field(default_factory=dict)


STARTUP = 4
"""Of eight trials, half are then the model's."""


class Search(Strict):
    """How all entries of a suite are tuned: alike, on validation, before any final run starts.

    mode:     headline: configurations drawn in the plan (scrambled Sobol); grid: every combination of choices;
              adaptive: Optuna's TPE with ASHA through Ray Tune, until as much of the budget's currency is spent.
    trials:   configurations of an entry in one study, the default one included; None for a grid, which counts itself.
    startup:  proposals of an adaptive study before TPE's own: the default one, then Sobol points.
    studies:  independent studies, each with points and a seed of its own. Seed k of the finals takes study k % studies.
    budget:   of one configuration.
    labelled: labelled patients of the trials; a fully supervised reference has all of them.
    subset, seed: of the trials; the finals must not use them. Study s trains with seed + s.
    validations: validations of a trial; the last one is its score.
    engine:   engine settings that are searched for all entries alike, by dotted name (optimiser.learning_rate).
    """

    mode: Literal["headline", "grid", "adaptive"] = "headline"
    trials: int | None = Field(None, ge=1)
    startup: int = Field(STARTUP, ge=1)
    studies: int = Field(1, ge=1)
    budget: Budget
    labelled: int = Field(ge=1)
    subset: int = Field(ge=0)
    seed: int = Field(ge=0)
    validations: int = Field(4, ge=1)
    engine: dict[str, Dimension] = Field(default_factory=dict)

    @field_validator("budget", mode="before")
    @classmethod
    def _no_ladder(cls, budget: Any) -> Any:  # noqa: ANN401 - raw YAML
        if isinstance(budget, dict) and "ladder" in budget:
            raise ValueError("a search has one budget, and its choice serves all rungs; give reference_steps")
        return budget

    @model_validator(mode="after")
    def _counted(self) -> Search:
        if (self.trials is None) != (self.mode == "grid"):
            raise ValueError(f"mode {self.mode} {'counts its trials itself' if self.trials else 'needs trials'}")
        if self.startup != STARTUP and self.mode != "adaptive":
            raise ValueError("startup is of mode adaptive alone")
        return self


class Suite(Strict):
    """Which methods, on which data, with how many labels, subsets and seeds, under which budget.

    name:          of the folder of its records; small letters, digits, - and _.
    description:   a line that tables and page show.
    preprocessing: how scans become training images.
    seeds:         of weights, batches and augmentation; each is a run.
    methods:       entries by name; one without settings is a bare name (`ua_mt:`).
    budget:        of each run, or a ladder of budgets.
    engine:        settings that all entries share.
    search:        how entries are tuned before the final runs; None: not at all.
    """

    name: SuiteName
    description: str = ""
    dataset: str = Field(description="a name; {prepared: NAME} for scans of one's own")
    preprocessing: Preprocessing
    labelled: list[int] = Field(min_length=1, description="labelled patients; one table per count")
    subsets: list[int] = Field([0], min_length=1, description="0 is the literature's; others are drawn by seed")
    seeds: list[int] = Field(min_length=1)
    methods: dict[EntryName, MethodEntry] = Field(min_length=1)
    budget: SuiteBudget
    validation_patients: int | None = Field(
        None,
        ge=1,
        exclude_if=is_none,
        description="whose labels choose checkpoints and hyper-parameters, drawn from the validation split; None: all",
    )
    engine: Engine = Engine()
    search: Search | None = None
    calibration: str | None = Field(
        None,
        description="under reference steps: one in benchmarks/calibrations/, or a .json file beside the suite",
    )

    @model_validator(mode="after")
    def _calibrated(self) -> Suite:
        if self.search is not None and self.search.budget.stages:
            raise ValueError("search.budget.stages: a calibration says the steps of each stage; leave them out")
        if self.calibration is not None and self.budget.currency != "reference_steps":
            raise ValueError("calibration: belongs to a budget of reference_steps; leave it out")
        if self.engine.compile and self.budget.currency == "reference_steps":
            raise ValueError("engine.compile: calibrations are of steps that the host takes; leave it out")
        return self

    @field_validator("labelled", "subsets", "seeds")
    @classmethod
    def _distinct(cls, values: list[int], info: Any) -> list[int]:  # noqa: ANN401 - pydantic's ValidationInfo
        least = 1 if info.field_name == "labelled" else 0
        if min(values) < least:
            raise ValueError(f"values must be at least {least}, not {min(values)}")
        if len(set(values)) != len(values):
            raise ValueError(f"values must differ, not {values}")
        return values

    @field_validator("dataset", mode="before")
    @classmethod
    def _prepared(cls, dataset: Any) -> Any:  # noqa: ANN401 - raw YAML
        """{prepared: NAME} is that name: no prepared dataset has the name of one that code describes."""
        if not isinstance(dataset, dict):
            return dataset
        if list(dataset) != ["prepared"]:
            raise ValueError(f"give a name, or {{prepared: NAME}}, not the field(s) {', '.join(map(str, dataset))}")
        return dataset["prepared"]

    @field_validator("methods", mode="before")
    @classmethod
    def _bare_names(cls, methods: Any) -> Any:  # noqa: ANN401 - raw YAML
        return {k: v if v is not None else {} for k, v in methods.items()} if isinstance(methods, dict) else methods

    @property
    def hash(self) -> str:
        """sha256 of the validated content; comments and layout do not count."""
        return digest(self.model_dump(mode="json", exclude=set() if self.calibration else {"calibration"}))

    def engine_of(self, entry: str) -> Engine:
        """The engine settings of one entry: the suite's, with its own in their place."""
        return Engine.model_validate(merge(self.engine.model_dump(), self.methods[entry].engine))


@dataclass(frozen=True)
class MarkedText:
    """The text of a YAML file with the line of each field, so that later errors can name both."""

    path: Path
    text: str
    lines: Mapping[Location, int]

    def error(self, location: Location, message: str) -> UsageError:
        """An error at a field: file, line of the nearest enclosing field that there is, field, message."""
        known = location
        while known and known not in self.lines:
            known = known[:-1]
        line = f":{self.lines[known]}" if known in self.lines else ""
        field = ".".join(map(str, location))
        return UsageError(f"{self.path}{line}: {field}: {message}" if field else f"{self.path}: {message}")

    def invalid(self, prefix: Location, error: ValidationError, model: type[BaseModel]) -> UsageError:
        """All of pydantic's complaints about the part of the file below `prefix`."""
        messages = []
        for item in error.errors():
            location = tuple(part for part in item["loc"] if part != "[key]")
            messages.append(str(self.error((*prefix, *location), _message(item, location, model))))
        return UsageError("\n".join(messages))

    def refuse_booleans(self, prefix: Location, raw: object, value: BaseModel) -> None:
        """Raise `UsageError` with the lines of what is true or false below `prefix` and became a number."""
        places = sorted(booleans_for_numbers(raw, value.model_dump()), key=str)
        if places:
            raise UsageError("\n".join(str(self.error((*prefix, *place), NO_NUMBER)) for place in places))


@dataclass(frozen=True)
class LoadedSuite(MarkedText):
    suite: Suite

    @property
    def option(self) -> str:
        """What --suite takes, for commands in messages: the name of a shipped suite, else the file."""
        return self.suite.name if self.path.parent == SUITES else shlex.quote(str(self.path))


def find_suite(name: str | Path) -> Path:
    """A path to a YAML file, or the name of one of the suites that ship with the harness."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        if not path.is_file():
            raise UsageError(f"{path}: no such suite file")
        return path
    shipped = {file.stem: file for file in SUITES.glob("*.yaml")}
    if str(name) not in shipped:
        raise UsageError(
            f"unknown suite {str(name)!r}; {suggest(str(name), shipped)} A path to a .yaml file works too."
        )
    return shipped[str(name)]


def load_suite(name: str | Path) -> LoadedSuite:
    """Read and validate a suite by name or path; all problems at once, each with file, line and field."""
    path = find_suite(name)
    suite, marked = read_marked(path, Suite, "a suite")
    if HASH.fullmatch(path.stem) and suite.hash != path.stem:
        raise RecordError(f"{path}: is not the suite that its name says; it is damaged, or was edited by hand")
    loaded = LoadedSuite(path, marked.text, marked.lines, suite)
    _check_engines(loaded)
    return loaded


def read_marked(path: Path, model: type[M], what: str) -> tuple[M, MarkedText]:
    """A YAML file as its model, and its text with the line of each field; what: "a suite", for messages.

    Raises `UsageError` with all problems at once, each with file, line and field.
    """
    try:
        text = read_text(path)
        raw, lines = parse(text)
    except (YamlError, OSError) as error:
        line = getattr(error, "line", None)
        raise UsageError(f"{path}{f':{line}' if line else ''}: not valid YAML: {error}") from None
    marked = MarkedText(path, text, lines)
    if not isinstance(raw, dict):
        raise UsageError(f"{path}: {what} is a mapping of fields, not {type(raw).__name__}")
    try:
        value = model.model_validate(raw)
    except ValidationError as error:
        raise marked.invalid((), error, model) from None
    marked.refuse_booleans((), raw, value)
    return value, marked


def _check_engines(loaded: LoadedSuite) -> None:
    for method, entry in loaded.suite.methods.items():
        try:
            loaded.refuse_booleans(("methods", method, "engine"), entry.engine, loaded.suite.engine_of(method))
        except ValidationError as error:
            raise loaded.invalid(("methods", method, "engine"), error, Engine) from None
        for name in (name for name in SHARED_ENGINE if name in entry.engine):
            raise loaded.error(("methods", method, "engine", name), ALIKE)


def merge(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with the values of `over` in their place, at any depth."""
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = merge(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _message(item: Any, location: Location, model: type[BaseModel]) -> str:  # noqa: ANN401 - pydantic's ErrorDetails
    if item["type"] == "extra_forbidden":
        name = str(location[-1])
        fields = _fields(model, location[:-1])
        if RENAMED_FIELDS.get(name) in fields:
            return f"a field of {BY_FIRST_VERSION}; here it is {RENAMED_FIELDS[name]}"
        return f"unknown field; {suggest(name, fields)}"
    if item["type"] == "missing":
        return "this field is required"
    if item["type"] == "string_type" and not isinstance(item["input"], dict | list):
        return f"this is text, which YAML reads as {type(item['input']).__name__} here; write it in quotes"
    text = str(item["msg"]).removeprefix("Value error, ")
    return text if item["type"] == "value_error" else f"{text}, not {item['input']!r}"


def _fields(model: type[BaseModel], location: Sequence[str | int]) -> list[str]:
    current: type[BaseModel] = model
    for part in location:
        field = current.model_fields.get(str(part))
        below = _model_in(field.annotation) if field else None
        current = below or current
    return sorted(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:  # noqa: ANN401 - any type expression
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
