"""The command `empo2`: a table of commands, each imported only when it is the one asked for.

`main` is the only place where errors become messages and exit codes.
"""

import os
import sys
import traceback
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from empo2_agent import __version__
from empo2_agent.cli.common import DEBUG_VARIABLE, examples, new_app
from empo2_agent.errors import Empo2Error
from empo2_agent.text import clean, one_line

COMMANDS = {
    "adapt": ("adapt", "Get better at a task by playing it and keeping tips."),
    "train": ("train", "Train a model to explore with tips and to do without them (EMPO²)."),
    "play": ("play", "Step through an episode and see what the model sees."),
    "eval": ("evaluate", "Play unseen variations; mean score and success with intervals."),
    "tips": ("tips", "Look into and edit the memory."),
    "runs": ("runs", "List and show recorded runs."),
    "envs": ("envs", "Installed environments, their tasks, the contract check."),
    "models": ("models", "Known small models and what is cached."),
    "config": ("config", "The resolved settings and where each came from."),
    "doctor": ("doctor", "What is there, what is missing, what to type."),
}
"""Name of a command -> (module in this package that exports `app`, its line in --help)."""

EPILOG = examples(
    "empo2 adapt --task find-non-living-thing --trials 5",
    "empo2 envs tasks scienceworld",
    "empo2 runs list",
    "empo2 doctor",
)


class LazyGroup(TyperGroup):
    """A group that lists `COMMANDS` by name and imports the one that is run."""

    def __init__(self, **attrs: Any) -> None:
        """Fill the group with stand-ins that only carry the help line."""
        super().__init__(**attrs)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line, rich_markup_mode=None))

    def list_commands(self, ctx: Any) -> list[str]:
        """The commands in the order of the table."""
        return list(COMMANDS)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """See `click.Group.resolve_command`. Swaps the stand-in for the command itself."""
        if args and args[0] in COMMANDS:
            module = import_module(f"{__name__}.{COMMANDS[args[0]][0]}")
            self.add_command(typer.main.get_command(module.app), args[0])
        return super().resolve_command(ctx, args)


app = new_app("An agent that gets better at a task while it is being used, from its own tips.")


def _print_version(value: bool) -> None:
    if value:
        typer.echo(__version__)
        raise typer.Exit


@app.callback(cls=LazyGroup, epilog=EPILOG)
def root(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """An agent that gets better at a task while it is being used, from its own tips."""


_WrongUsage: type[Any] = typer.BadParameter.__bases__[0]
"""Click's UsageError, which Typer carries along but does not export."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage, 3 environment, 4 model, 130."""
    try:
        try:
            code = app(prog_name="empo2", standalone_mode=False)
        finally:
            sys.stdout.flush()  # a reader that left early is noticed here, not at interpreter exit
        raise SystemExit(code or 0)
    except _WrongUsage as error:
        sys.stderr.write(_usage(error))
        raise SystemExit(error.exit_code) from None
    except Empo2Error as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exception(error)
        sys.stderr.write(f"error: {clean(str(error))}\n")
        raise SystemExit(error.exit_code) from None
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(130) from None
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


def _usage(error: Any) -> str:
    """What is wrong with the words typed; the help itself for a group without a command."""
    message, context = str(error.format_message()), error.ctx
    if context is None:
        return f"error: {clean(message)}\n"
    if message == context.get_help():
        return f"{message}\n"
    return f"error: {one_line(message)}\nType: {context.command_path} --help\n"
