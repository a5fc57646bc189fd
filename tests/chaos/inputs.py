"""Bad suites and command lines: refused with a documented exit code, never a traceback."""

import resource
from functools import partial
from pathlib import Path
from random import Random

from harness.cli import VERBS, main
from tests.chaos.process import fork
from tests.cli.ground import SUITE

WORDS = (
    *("", "0", "-1", "1e99", ".nan", "9" * 30, "null", "true", "[]", "{a: {b: c}}", "&a [*a]", "*x", "'"),
    *("!!python/x y", "\t", "../..", "/", "~", "$(id)", "%n", "\u202e", "é" * 300, "--", "1.5", "08", "a: b", "|"),
    *("? x", "[1, 1]"),
)
MORE = "search: {mode: headline, trials: 3, budget: {steps: 4}, labelled: 2, subset: 2, seed: 100}\n"


def mutated(random: Random, text: str) -> str:
    """A text with one to three faults in its lines."""
    for _ in range(random.randint(1, 3)):
        lines = text.splitlines() or [""]
        at, word = random.randrange(len(lines)), random.choice(WORDS)
        key, colon, rest = lines[at].partition(":")
        cut = random.randrange(len(lines[at]) + 1)
        wrong = [f"{key}{colon} {word}", f"{word}:{rest}", lines[at][:cut] + word + lines[at][cut:], f" {lines[at]}"]
        lines[at] = random.choice([*wrong, f"{lines[at]}\n{lines[at]}", "", f"{key[:-1]}{colon}{rest}"])
        text = "\n".join(lines) + "\n"
    return text


def try_input(seed: int, root: Path) -> tuple[list[str], list[str]]:
    """One bad input: its kind, and faults. Nothing is trained."""
    random, suite = Random(f"inputs {seed}"), root / "tiny.yaml"
    kind = random.choice(["suite", "suite", "command line"])
    if kind == "suite":
        suite.write_text(mutated(random, SUITE.replace("budget:", f"{MORE}budget:")), encoding="utf-8")
        line = ["plan", "--suite", str(suite)]
    else:
        words = (*WORDS, "--suite", "--runs", "--data", "--to", "demo", "/dev/null", "/proc/self/mem", ".")
        verb = random.choice(sorted(VERBS.keys() - {"run", "train", "calibrate", "check", "doctor"}))
        line = [verb, *random.choices(words, k=random.randint(0, 5))]
    return [kind], [f"{line}: {fault}" for fault in fork(partial(_limited, line), root, {}).faults()]


def _limited(line: list[str]):
    resource.setrlimit(resource.RLIMIT_CPU, (60, 60))  # then the system ends it, which is a fault
    main(line)
