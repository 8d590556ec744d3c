"""`empo2 runs`: list recorded runs, and show one with its episodes and steps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from empo2_agent.cli.common import (
    DebugFlag,
    JsonFlag,
    emit_json,
    emit_text,
    examples,
    new_app,
    table,
)
from empo2_agent.errors import RunFolderError, UsageError, did_you_mean
from empo2_agent.runs import RUNS, RecordedEpisode, Run, episode_to_json, list_runs, open_run
from empo2_agent.text import one_line
from empo2_agent.types import Episode

app = new_app("List and show recorded runs.")

RootOption = Annotated[Path, typer.Option("--root", help="The folder that holds the runs.")]


@app.command("list", epilog=examples("empo2 runs list", "empo2 runs list --json"))
def list_command(root: RootOption = RUNS, json: JsonFlag = False, debug: DebugFlag = False) -> None:
    """List the runs in a folder, oldest first."""
    entries = [_entry(found) for found in list_runs(root)]
    if json:
        emit_json({"runs": entries})
    elif not entries:
        emit_text([f"There are no runs in {root}."])
    else:
        columns = ("run", "command", "status", "started", "episodes")
        emit_text(table(columns, [[entry[key] for key in columns] for entry in entries]))
        emit_text([str(entry["error"]) for entry in entries if entry["error"]])


@app.command(
    epilog=examples(
        "empo2 runs show 20260102-030405-adapt-find-animal",
        "empo2 runs show runs/20260102-030405-adapt-find-animal --episode 3",
    )
)
def show(
    run: Annotated[str, typer.Argument(help="A run folder, or its name in the runs folder.")],
    episode: Annotated[
        int | None, typer.Option("--episode", min=0, help="Show the steps of this episode.")
    ] = None,
    root: RootOption = RUNS,
    json: JsonFlag = False,
    debug: DebugFlag = False,
) -> None:
    """Show a run: how it was made, its episodes, or the steps of one of them."""
    found = find_run(run, root)
    if episode is None:
        _show_run(found, json=json)
    else:
        recorded = _episode(found, episode)
        if json:
            emit_json(episode_to_json(recorded.episode, recorded.extra))
        else:
            emit_text(list(_step_lines(recorded.episode)))


def find_run(name: str, root: Path) -> Run:
    """The run at the path `name`, or of that name below `root`.

    Raises:
        UsageError: There is none.
        RunFolderError: It is damaged.
    """
    for path in (Path(name), root / name):
        if (path / "run.json").exists():
            return open_run(path)
    known = [path.parent.name for path in root.glob("*/run.json")]
    hint = did_you_mean(Path(name).name, known) or " Type: empo2 runs list"
    raise UsageError(f"there is no run {name!r}, here or in {root}.{hint}")


def _entry(found: Run | RunFolderError) -> dict[str, Any]:
    if isinstance(found, RunFolderError):
        names = ("run", "path", "command", "started", "ended", "episodes")
        return {**dict.fromkeys(names), "status": "unreadable", "error": str(found)}
    return {
        "run": found.name,
        "path": str(found.path),
        "command": found.document["command"],
        "status": found.status,
        "started": found.document["started"],
        "ended": found.document.get("ended"),
        "episodes": found.episode_count(),
        "error": None,
    }


def _show_run(run: Run, *, json: bool) -> None:
    rows = [_row(number, recorded) for number, recorded in enumerate(run.episodes())]
    if json:
        document = {key: value for key, value in run.document.items() if key != "status"}
        emit_json({**document, "status": run.status, "episodes": rows})
        return
    facts = {key: run.document.get(key) for key in ("command", "started", "ended", "seed")}
    emit_text([f"{run.name}: {run.status}"])
    emit_text([f"  {key}: {value}" for key, value in facts.items() if value is not None])
    emit_text([f"  {name} {version}" for name, version in run.document.get("versions", {}).items()])
    if rows:
        columns = list(dict.fromkeys(key for row in rows for key in row))
        emit_text(table(columns, [[row.get(key, "") for key in columns] for row in rows]))
    else:
        emit_text(["No episode finished."])


def _row(number: int, recorded: RecordedEpisode) -> dict[str, Any]:
    episode = recorded.episode
    return {
        "episode": number,
        **recorded.extra,
        "task": episode.task.id,
        "seed": episode.seed,
        "memory": episode.memory,
        "status": str(episode.status),
        "score": round(episode.score, 2),
        "steps": len(episode.steps),
        "tips_shown": sum(len(step.tips) for step in episode.steps),
        "seconds": round(episode.seconds, 1),
        "tip": one_line(episode.tip, 60),
    }


def _episode(run: Run, number: int) -> RecordedEpisode:
    count = 0
    for count, recorded in enumerate(run.episodes(), start=1):
        if count == number + 1:
            return recorded
    raise UsageError(f"{run.name} has {count} finished episodes, numbered from 0: no {number}.")


def _step_lines(episode: Episode) -> Iterator[str]:
    yield f"{episode.task.id}, seed {episode.seed}: {episode.status}, score {episode.score:g}"
    shown = _tip_texts(episode)
    for number, step in enumerate(episode.steps):
        yield ""
        yield f"--- step {number} ---"
        yield step.observation
        for tip in step.tips:
            yield f"tip {tip.id} (similarity {tip.similarity:.2f}, score {tip.score:g})"
        yield from (f"tips in the prompt: {one_line(text)}" for text in shown[number])
        yield f"> {step.action}" + (
            "" if step.reply == step.action else f"   (reply: {step.reply})"
        )
        yield f"reward {step.reward:g}, log-probability {step.logprob:.2f}, {_times(episode, number)}"
    yield ""
    yield episode.final_observation
    yield from ([f"error: {episode.error}"] if episode.error else [])
    yield from ([f"tip written: {one_line(episode.tip)}"] if episode.tip else [])


def _times(episode: Episode, number: int) -> str:
    step = episode.steps[number]
    return (
        f"environment {step.environment_ms:.0f} ms, retrieval {step.retrieval_ms:.0f} ms, "
        f"model {step.model_ms:.0f} ms"
    )


def _tip_texts(episode: Episode) -> list[list[str]]:
    """For each step the tip segments that its prompt has and the one before had not."""
    texts: list[list[str]] = []
    before = 0
    for step in episode.steps:
        end, new = 0, []
        for segment in episode.segments:
            end += len(segment.token_ids)
            if segment.kind == "tip" and before < end <= step.prompt_tokens:
                new.append(segment.text)
        texts.append(new)
        before = step.prompt_tokens
    return texts
