"""What the commands of `empo2 tips` share: opening the memory, naming tasks, lines in and out."""

import math
import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from empo2_agent.cli.common import emit_text, load_settings
from empo2_agent.config import MemorySettings, Settings
from empo2_agent.errors import MemoryStoreError, UsageError
from empo2_agent.memory.location import resolve_location
from empo2_agent.plugins import plugin_names
from empo2_agent.tasks import FoundTask, resolve_task
from empo2_agent.text import one_line
from empo2_agent.types import Recalled, Task, Tip

if TYPE_CHECKING:
    from empo2_agent.memory.chroma import ChromaTips
    from empo2_agent.memory.tips import Verdict

SHOWN = 100  # characters of a tip in a table


class Listing(NamedTuple):
    """Found tips in both forms they are printed in."""

    document: list[dict[str, Any]]
    headers: Sequence[str]
    rows: list[Sequence[object]]


def memory_settings(
    config: Sequence[Path] | None,
    pairs: Sequence[str] | None,
    location: str | None,
    *,
    reads: Collection[str],
    budget: int | None = None,
) -> MemorySettings:
    """The settings of the memory.

    Args:
        config: From `ConfigFiles`.
        pairs: From `SetPairs`.
        location: From `MemoryOption`.
        reads: Those the command reads, beside `location`.
        budget: A flag for `tokens_per_turn`.

    Raises:
        UsageError: A bad setting, or one given by `--set` that has no effect on the command.
    """
    others = MemorySettings.model_fields.keys() - {"location", *reads}
    unused = (Settings.model_fields.keys() - {"memory"}) | {f"memory.{name}" for name in others}
    flags = {"memory.location": location, "memory.tokens_per_turn": budget}
    return load_settings(config, pairs, unused=unused, flags=flags).settings.memory


@contextmanager
def reading(location: str | None, **options: Any) -> Iterator[tuple[str, "ChromaTips | None"]]:
    """Where the memory is, and the memory; None where nothing was ever written to that folder.

    Args:
        location: As the user wrote it; None for the default.
        options: See `memory.chroma.Options`.

    Raises:
        UsageError: "none", or an address that cannot be read.
        MemoryStoreError: It cannot be opened; or a folder the user named holds no memory.
    """
    place = _place(location)
    if location is None and not _is_there(place):
        yield str(place), None
        return
    require_store(place)
    with writing(location, **options) as memory:
        yield memory.path, memory


@contextmanager
def writing(location: str | None, *, create: bool = True, **options: Any) -> Iterator["ChromaTips"]:
    """The memory, opened to be changed; made if need be unless `create` is false.

    Raises:
        UsageError, MemoryStoreError: As `reading`.
    """
    place = _place(location)
    if not create:
        require_store(place)
    from empo2_agent.memory.chroma import ChromaTips  # chromadb takes most of a second
    from empo2_agent.memory.embedding import MiniLM

    with ChromaTips(place, MiniLM(), **options) as memory:
        yield memory


def require_store(place: Path | str) -> None:
    """Nothing, where a memory was written to; a server's address is taken as it is.

    Raises:
        MemoryStoreError: A folder that holds none.
    """
    if not _is_there(place):
        raise MemoryStoreError(f"there is no tip memory in {place}.")


def task_of(text: str) -> Task:
    """The task a user named. One of an environment that is not installed is taken as it stands.

    Raises:
        UsageError, EnvironmentUnavailableError: See `tasks.resolve_task`.
    """
    environment, _, rest = text.partition("/")
    name, _, variation = rest.partition("/")
    numbered = not variation or (variation.isascii() and variation.isdigit())
    if name and numbered and environment not in plugin_names():
        return Task(environment, name, int(variation or 0))
    return resolve_task(text).task


def filter_of(text: str | None) -> tuple[Literal["task", "variation"], Task | None]:
    """The scope and the task whose tips are meant: of one variation only where it is named."""
    if text is None:
        return "task", None
    return "variation" if text.count("/") == 2 else "task", task_of(text)


def by_hand(found: FoundTask, text: str, *, key: str, action: str, score: float) -> Tip:
    """A tip that a person wrote. Its id follows from what it says and where it belongs."""
    from empo2_agent.memory.rows import row_id, tidy  # numpy

    tip = tidy(
        Tip(
            id="manual",
            text=text,
            key=key,
            action=action,
            score=score,
            max_score=found.plugin.max_score,
            environment=found.task.environment,
            task=found.task.name,
            variation=found.task.variation,
            run="manual",
            episode=0,
            step=0,
            model="",
            created=datetime.now(UTC).isoformat(timespec="seconds"),
        )
    )
    return replace(tip, id=f"manual/{row_id(tip)[:12]}")


def tip_rows(tips: Sequence[Tip]) -> list[Sequence[object]]:
    """Rows of the table of `list`."""
    return [
        (
            tip.id,
            f"{tip.environment}/{tip.task}/{tip.variation}",
            f"{tip.score:g}/{tip.max_score:g}",
            tip.created[:16],
            one_line(tip.text, SHOWN),
        )
        for tip in tips
    ]


def recalled(found: Sequence[Recalled]) -> Listing:
    """What `search` prints."""
    rows: list[Sequence[object]] = [
        (f"{one.similarity:.3f}", one.tip.score, one.tip.id, one_line(one.tip.text, SHOWN))
        for one in found
    ]
    document = [{**asdict(one.tip), "similarity": one.similarity} for one in found]
    return Listing(document, ("similarity", "score", "id", "tip"), rows)


def explained(verdicts: Sequence["Verdict"], budget: int) -> Listing:
    """What `search --explain` prints, after applying a budget of tokens that are estimated."""
    from empo2_agent.memory.tips import Outcome, charge  # numpy

    verdicts = charge(verdicts, lambda text: math.ceil(len(text) / 4), budget)
    over = f"{Outcome.OVER_BUDGET} of {budget} (tokens estimated)"
    document: list[dict[str, Any]] = [
        {
            "id": one.tip.id,
            "rank": one.rank,
            "similarity": one.similarity,
            "score": one.tip.score,
            "outcome": one.outcome.name.lower(),
            "copy_of": one.copy_of or None,
            "text": one.tip.text,
        }
        for one in verdicts
    ]
    rows: list[Sequence[object]] = [
        (
            one.rank,
            f"{one.similarity:.3f}",
            one.tip.score,
            one.tip.id,
            over if one.outcome is Outcome.OVER_BUDGET else one.reason,
            one_line(one.tip.text, SHOWN),
        )
        for one in verdicts
    ]
    return Listing(document, ("rank", "similarity", "score", "id", "outcome", "tip"), rows)


def read_text(file: str) -> str:
    """A whole file, or stdin for `-`.

    Raises:
        UsageError: It cannot be read, or is not UTF-8.
    """
    try:
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"cannot read {file}: it is not UTF-8 text ({error.reason}).") from error


def write_tips(file: str, tips: Sequence[Tip]) -> None:
    """One line of JSON a tip, to a file that does not exist yet, or to stdout for `-`.

    Raises:
        UsageError: The file exists, or cannot be written.
    """
    from empo2_agent.memory.rows import to_line  # numpy

    lines = [to_line(tip) for tip in tips]
    if file == "-":
        emit_text(lines)
        return
    try:
        with Path(file).open("x", encoding="ascii") as out:
            out.writelines(f"{line}\n" for line in lines)
    except FileExistsError as error:
        raise UsageError(f"{file} exists already: name a new file, or - for stdout.") from error
    except OSError as error:
        raise UsageError(f"cannot write {file}: {error.strerror}.") from error


def _is_there(place: Path | str) -> bool:
    return "://" in str(place) or (Path(place) / "chroma.sqlite3").exists()


def _place(location: str | None) -> Path | str:
    place = resolve_location(location)
    if place is None:
        raise UsageError('there are no tips in the memory "none": name a folder or a server.')
    return place
