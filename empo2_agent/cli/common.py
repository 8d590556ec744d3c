"""What the commands share: their options, the two output streams, and reading the settings.

One rule: results go to stdout, everything else to stderr, and text is never read as markup.
"""

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from empo2_agent.config import PRESETS, Resolved, resolve
from empo2_agent.text import clean, one_line

if TYPE_CHECKING:
    from rich.console import Console

DEBUG_VARIABLE = "EMPO2_DEBUG"


def _remember_debug(value: bool) -> bool:
    if value:
        os.environ[DEBUG_VARIABLE] = "1"  # `main` reads it once the command has failed
    return value


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
QuietFlag = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the result.")]
DebugFlag = Annotated[
    bool,
    typer.Option("--debug", callback=_remember_debug, help="Show a traceback when it fails."),
]
SeedOption = Annotated[
    int | None, typer.Option("--seed", min=0, help="All randomness derives from it.")
]
MaxStepsOption = Annotated[
    int | None, typer.Option("--max-steps", min=1, help="Steps an episode may take.")
]
RunDirOption = Annotated[
    Path | None,
    typer.Option("--run-dir", help="Folder of this run instead of runs/TIME-COMMAND-NAME."),
]
PresetOption = Annotated[
    str | None, typer.Option("--preset", help=f"A bundle of settings: {', '.join(PRESETS)}.")
]
ConfigFiles = Annotated[
    list[Path] | None,
    typer.Option("--config", "-c", help="TOML file of settings; repeatable, later ones win."),
]
SetPairs = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="SECTION.KEY=VALUE", help="One setting; repeatable."),
]


def new_app(help_text: str) -> typer.Typer:
    """A Typer app with the options all our apps share."""
    return typer.Typer(
        help=help_text,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,  # locals in tracebacks leak prompts and keys
        rich_markup_mode=None,  # brackets in help texts are brackets, and Rich stays unimported
    )


def examples(*lines: str) -> str:
    """An epilog for `--help` that shows `lines` as they are."""
    return "\b\n" + "\n".join(["Examples:", *(f"  {line}" for line in lines)])


def human(*, quiet: bool = False) -> "Console":
    """A console on stderr for people. It prints text as it is; with `quiet` it prints nothing."""
    from rich.console import Console  # not needed for --help or --json

    return Console(stderr=True, markup=False, highlight=False, emoji=False, quiet=quiet)


def emit_json(document: object) -> None:
    """Print one JSON document, on one line, to stdout."""
    json.dump(document, sys.stdout, allow_nan=False)  # ASCII: no control character gets out
    sys.stdout.write("\n")
    sys.stdout.flush()


def emit_text(lines: Sequence[str]) -> None:
    """Print the result of a listing to stdout, without the control characters of its sources."""
    sys.stdout.write("".join(f"{clean(line)}\n" for line in lines))
    sys.stdout.flush()


def emit_result(document: object, lines: Sequence[str], *, as_json: bool) -> None:
    """Print what a command found to stdout: as a document, or as lines for people."""
    if as_json:
        emit_json(document)
    else:
        emit_text(lines)


def table(headers: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """Rows as aligned lines of text; numbers stand at the right, None is shown as `-`."""
    body = [["-" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
    cells = [list(headers), *body]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    right = [all(_is_number(row[column]) for row in rows) for column in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if numeric and rows else cell.ljust(width)
            for cell, width, numeric in zip(row, widths, right, strict=True)
        ]
        return "  ".join(padded).rstrip()

    return [line(row) for row in cells]


def _is_number(cell: object) -> bool:
    return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))


def load_settings(
    config_files: Sequence[Path] | None,
    pairs: Sequence[str] | None,
    *,
    preset: str | None = None,
    unused: Collection[str] = (),
    defaults: Mapping[str, object] | None = None,
    flags: Mapping[str, object] | None = None,
    trains: bool = False,
) -> Resolved:
    """The settings of this invocation, and the origin of each.

    Args:
        config_files: From `ConfigFiles`.
        pairs: From `SetPairs`.
        preset: From `PresetOption`.
        unused: Sections and dotted keys this command does not read.
        defaults: Where this command's defaults differ, by dotted key.
        flags: Values of flags by dotted key; None means the flag was not given.
        trains: Whether the command is `empo2 train`.

    Raises:
        UsageError: See `config.resolve`.
    """
    return resolve(
        preset=preset,
        files=config_files or (),
        pairs=pairs or (),
        flags=flags,
        unused=unused,
        defaults=defaults,
        trains=trains,
    )
