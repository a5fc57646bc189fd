"""Where something stands in an author's files, as file:line."""

import inspect
import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import harness
from harness.api.method import Method

ENGINE = Path(harness.__file__).resolve().parent
LIBRARIES = frozenset({"torch", "pydantic", "builtins", "typing", "abc", "enum"})
Roots = tuple[str, ...]


def roots_of(kind: type[Method]) -> Roots:
    """Files and packages of the classes that a method is made of, the engine's left out."""
    modules = {base.__module__ for base in (*kind.__mro__, *kind.Params.__mro__)}
    return tuple(sorted({root for name in modules for root in _roots(name)}))


def _roots(module: str) -> Iterator[str]:
    file = getattr(sys.modules.get(module), "__file__", None)
    if module.partition(".")[0] in LIBRARIES or file is None or ENGINE in Path(file).resolve().parents:
        return
    depth = module.count(".") + (Path(file).name == "__init__.py")
    yield f"{Path(file).parents[depth - 1]}/" if depth else file


def shown(file: str, line: int) -> str:
    """file:line, relative to the working directory where the file is in it."""
    path = Path(file)
    return f"{path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path}:{line}"


def place_of_error(error: BaseException, roots: Roots) -> tuple[str, str]:
    """The author's function that an error passed first, and the last of the author's lines; empty where none is."""
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(roots):
        return "", shown(error.filename, error.lineno or 1)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(roots)]
    return (frames[0].name, shown(frames[-1].filename, frames[-1].lineno or 1)) if frames else ("", "")


def calling_place(roots: Roots) -> str:
    """The author's line that is being executed; empty where none of the author's calls is."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not frame.f_code.co_filename.startswith(roots):
        frame = frame.f_back
    return "" if frame is None else shown(frame.f_code.co_filename, frame.f_lineno)


def place_of_hook(kind: type, name: str) -> str:
    """Where a class defines a hook; the class where it does not."""
    hook: Any = inspect.getattr_static(kind, name, None)
    function = getattr(hook, "fget", None) or getattr(hook, "__func__", None) or hook
    code = getattr(inspect.unwrap(function), "__code__", None) if function is not None else None
    if code is not None and ENGINE not in Path(code.co_filename).resolve().parents:
        return shown(code.co_filename, code.co_firstlineno)
    return place_of_text(kind, rf"\s*class {kind.__name__}\b")


def place_of_text(kind: type, pattern: str) -> str:
    """The last line of a class, or of one of its bases, that begins with a pattern; else the first of the class."""
    return _in_classes(kind, pattern) or _in_classes(kind, rf"\s*class {kind.__name__}\b")


def place_in_files(kind: type[Method], pattern: str) -> str:
    """The first line that holds a pattern: of the method's class, then of its files; else the first of the class."""
    if place := _in_classes(kind, rf".*(?:{pattern})"):
        return place
    for file in files_of(kind):
        for number, line in enumerate(Path(file).read_text(encoding="utf-8").splitlines(), 1):
            if re.search(pattern, line):
                return shown(file, number)
    return place_of_text(kind, rf"\s*class {kind.__name__}\b")


def _in_classes(kind: type, pattern: str) -> str:
    for base in kind.__mro__:
        if base.__module__.partition(".")[0] in (*LIBRARIES, "harness"):
            continue
        try:
            lines, first = inspect.getsourcelines(base)
            file = inspect.getfile(base)
        except (OSError, TypeError):  # made in a console
            continue
        if numbers := [number for number, line in enumerate(lines, first) if re.match(pattern, line)]:
            return shown(file, numbers[-1])
    return ""


def files_of(kind: type[Method]) -> list[str]:
    """The files of a method's classes, and of what these import from the author's other files."""
    own = [base.__module__ for base in kind.__mro__]
    used = [value for name in own for value in vars(sys.modules[name]).values()]
    modules = [*own, *(getattr(value, "__module__", None) or getattr(value, "__name__", "") for value in used)]
    files = (getattr(sys.modules.get(str(name)), "__file__", None) for name in modules)
    return [file for file in dict.fromkeys(files) if file is not None and file.startswith(roots_of(kind))]
