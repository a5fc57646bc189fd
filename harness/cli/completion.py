"""`harness completion`: verbs, options and names of suites, completed by the shell."""

import os
from pathlib import Path

import click
from click.shell_completion import CompletionItem, get_completion_class

from harness.api.errors import UsageError
from harness.records.variables import path_of

SHELLS = ("bash", "zsh", "fish")


@click.command("completion")
@click.argument("shell", required=False, type=click.Choice(SHELLS))
def completion_command(shell: str | None) -> None:
    """Print a script that completes `harness` in SHELL; default: the shell of $SHELL.

    Add one line to the shell's start-up file. In ~/.bashrc: eval "$(harness completion bash)". In ~/.zshrc, after
    compinit: eval "$(harness completion zsh)". In ~/.config/fish/config.fish: harness completion fish | source.
    """
    from harness.cli import cli

    name = shell or Path(os.environ.get("SHELL", "")).name
    kind = get_completion_class(name) if name in SHELLS else None
    if kind is None:
        raise UsageError(f"$SHELL is {name or 'not set'}; name one of {', '.join(SHELLS)}: harness completion bash")
    click.echo(kind(cli, {}, "harness", "_HARNESS_COMPLETE").source())


def complete_suite(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Shipped suites by name, then files."""
    from harness.suite.load import SUITES

    names = sorted(path.stem for path in SUITES.glob("*.yaml"))
    return [*(CompletionItem(name) for name in names if name.startswith(typed)), CompletionItem(typed, type="file")]


def complete_folder(_context: click.Context, _parameter: click.Parameter, typed: str) -> list[CompletionItem]:
    """Folders of suites in the folder of all records, then folders."""
    runs = path_of("HARNESS_RUNS") or Path("runs")
    names = sorted(str(path.parent) for path in runs.glob("*/suites"))
    return [*(CompletionItem(name) for name in names if name.startswith(typed)), CompletionItem(typed, type="dir")]
