"""Options that `adapt`, `eval`, `play` and partly `tips` share."""

from typing import Annotated

import typer

TaskOption = Annotated[
    str | None,
    typer.Option("--task", "-t", help="NAME, ENVIRONMENT/NAME or ENVIRONMENT/NAME/VARIATION."),
]
VariationOption = Annotated[
    int | None, typer.Option("--variation", min=0, help="Play this variation of the task.")
]
SplitOption = Annotated[
    str | None, typer.Option("--split", help="Play the variations of train, dev, test or all.")
]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A name of `empo2 models list`, a folder, or org/name."),
]
MemoryOption = Annotated[
    str | None,
    typer.Option("--memory", help='A folder, the http address of a Chroma server, or "none".'),
]
ResumeOption = Annotated[
    str | None,
    typer.Option(
        "--resume", metavar="RUN", help="Go on with this run, a folder or a name in runs."
    ),
]
