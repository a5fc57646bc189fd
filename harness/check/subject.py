"""From what a user types to a method's class: a registered name, a module, or a file."""

import importlib
import inspect
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

from harness.api.errors import UsageError, suggest
from harness.api.method import Method
from harness.check.outcome import FaultError
from harness.check.places import place_of_error
from harness.suite.registry import load_method, method_sources


def load(target: str) -> type[Method]:
    """The class that is meant, as `check` takes it.

    Raises `UsageError` where there is none, or several; `FaultError` where it cannot be imported.
    """
    known = method_sources()
    if target in known:
        try:
            return load_method(target)
        except UsageError as error:
            raise FaultError(str(error)) from error
    text, _, name = target.partition(":")
    if text.endswith(".py") or Path(text).is_file():
        module = _imported_file(Path(text))
    elif not (top := text.partition(".")[0]) or find_spec(top) is None:
        raise UsageError(f"no method, module or file {target!r}; {suggest(target, known)}")
    else:
        module = _imported(text)
    return _chosen(module, name)


def _imported_file(file: Path) -> ModuleType:
    """A file as the module that it is; the folder of its outermost package becomes importable."""
    if not file.is_file():
        raise UsageError(f"{file}: there is no such file")
    path = file.resolve()
    names, folder = [path.stem], path.parent
    while (folder / "__init__.py").exists():
        names, folder = [folder.name, *names], folder.parent
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    module = _imported(".".join(names), str(folder if len(names) > 1 else path))
    other = module.__file__
    if other is None or Path(other).resolve() != path:
        raise UsageError(f"{file}: another module {module.__name__!r} ({other}) hides it; give the file another name")
    return module


def _imported(name: str, root: str = "") -> ModuleType:
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:
        _, place = place_of_error(error, (root or f"{Path.cwd()}/",))
        text = error.msg if isinstance(error, SyntaxError) else " ".join(str(error).split())
        raise FaultError(f"cannot be imported: {type(error).__name__}: {text}", place) from error


def _chosen(module: ModuleType, name: str) -> type[Method]:
    """The method of a module that has this name, or its only one."""
    classes = [kind for kind in vars(module).values() if inspect.isclass(kind) and kind is not Method]
    kinds = [kind for kind in classes if issubclass(kind, Method)]
    own = {kind.__name__: kind for kind in kinds if kind.__module__ == module.__name__}
    if not own:
        raise UsageError(f"{module.__file__ or module.__name__}: no class of its own is derived from Method")
    if name and name not in own:
        raise UsageError(f"{module.__file__}: no method class {name!r}; {suggest(name, own)}")
    if not name and len(own) > 1:
        raise UsageError(f"{module.__file__}: several methods, {', '.join(own)}; choose one with FILE:CLASS")
    return own[name] if name else next(iter(own.values()))
