"""What `empo2 eval --compare-paper` adds: the published scores, and what this run did otherwise.

One rule: the paper's protocol is what the preset `paper-ENVIRONMENT` sets, stated nowhere else.
"""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, NamedTuple

from empo2_agent.cli import common
from empo2_agent.cli.job import Job
from empo2_agent.config import PRESETS, check_environment_settings, flatten
from empo2_agent.evaluate import Scores
from empo2_agent.needs import Rules
from empo2_agent.paper import SOURCE, Published
from empo2_agent.policies.catalog import find_known

_COMPARED = ("sampling", "episode", "environment")
"""Sections of the preset that shape an evaluation and are settings of it as they stand."""


class Difference(NamedTuple):
    """One thing that this run did otherwise."""

    what: str
    """A dotted key, where there is one to set."""
    here: object
    paper: object


class Comparison(NamedTuple):
    """A run beside the paper."""

    published: Published
    differences: list[Difference]
    only_variation: int | None
    """Where a single variation was asked for."""


def compare(
    job: Job, published: Published, *, rules: Rules, model: str, memory: str | None
) -> Comparison:
    """Look for everything in which a run departs from the paper's protocol.

    Args:
        job: What was played.
        published: What the paper has on its task.
        rules: Those in force, which may allow less than the settings asked for.
        model: Its name or folder.
        memory: Where tips were read; None: nowhere.
    """
    rows = [*_variations(job), *_model(job, model), *_settings(job, rules)]
    if memory is not None:
        rows.append(Difference("memory.location", memory, "none"))
    return Comparison(published, rows, None if job.whole_split else job.found.task.variation)


def as_document(comparison: Comparison) -> dict[str, Any]:
    """The key `paper` of `--json`."""
    published = comparison.published
    return {
        "source": SOURCE,
        "name": published.name,
        "measure": published.measure,
        "published": {
            method: {"score": score, "success": published.success.get(method)}
            for method, score in published.scores.items()
        },
        "only_variation": comparison.only_variation,
        "differences": [
            {"what": what, "here": _plain(here), "paper": _plain(paper)}
            for what, here, paper in comparison.differences
        ],
    }


def as_lines(comparison: Comparison, result: Scores, max_score: float) -> list[str]:
    """For people: our mean in the paper's units beside its numbers, then what differs."""
    published, only = comparison.published, comparison.only_variation
    lines = [
        "",
        f"Beside the paper ({SOURCE}), {published.name}: {published.measure}",
        *_scores(published, result, 100 / max_score),
        "",
    ]
    if only is not None:
        lines.append(f"Only variation {only} was played: the score speaks of that one alone.")
    if not comparison.differences:
        return [*lines, "Played by the paper's protocol."]
    rows = [(what, _shown(here), _shown(paper)) for what, here, paper in comparison.differences]
    return [*lines, *common.table(("not as in the paper", "this run", "paper"), rows)]


def _scores(published: Published, result: Scores, scale: float) -> list[str]:
    ends = result.score.ci95
    interval = None if ends is None else "[{:.1f}, {:.1f}]".format(*(end * scale for end in ends))
    rows: list[tuple[object, ...]] = [
        (
            "this run",
            round(result.score.mean * scale, 1),
            interval,
            round(100 * result.success.mean, 1),
        ),
        *((f"paper, {m}", s, None, published.success.get(m)) for m, s in published.scores.items()),
    ]
    headers = ("", "score", "95 % interval", "success %")
    shown = len(headers) if published.success else len(headers) - 1
    return common.table(headers[:shown], [row[:shown] for row in rows])


def _variations(job: Job) -> Iterator[Difference]:
    task, plugin = job.found
    settings, protocol = job.resolved.settings.evaluate, _protocol(job)
    played = job.variations[: settings.variations]
    wanted = protocol["evaluate.variations"]
    assert isinstance(wanted, int)
    if not job.whole_split:
        yield Difference("variations", f"only {task.variation}", f"first {wanted} of test")
    else:
        if task.split != "test":
            yield Difference("split", task.split, "test")
        if len(played) != wanted:
            there = tuple(plugin.variations(task.name, task.split))
            all_there = len(played) == len(there) < wanted
            here = f"{len(played)}, all there are" if all_there else len(played)
            yield Difference("evaluate.variations", here, wanted)
    repeats = protocol.get("evaluate.repeats", settings.repeats)
    if settings.repeats != repeats:
        yield Difference("evaluate.repeats", settings.repeats, repeats)


def _model(job: Job, name: str) -> Iterator[Difference]:
    wanted = find_known(str(_protocol(job)["model.name"]))
    assert wanted is not None
    in_a_folder = PurePath(name).name.lower() == PurePath(wanted.hub_name).name.lower()
    if find_known(name) != wanted and not in_a_folder:
        yield Difference("model.name", name, wanted.hub_name)


def _settings(job: Job, rules: Rules) -> Iterator[Difference]:
    settings, plugin = job.resolved.settings, job.found.plugin
    world = check_environment_settings(
        plugin.defaults, settings.environment, environment=plugin.name
    )
    in_force = {
        **dict(flatten(settings)),
        **{f"environment.{key}": value for key, value in world.items()},
        "sampling.style": rules.style,
        "episode.max_steps": rules.max_steps,
        "episode.max_prompt_tokens": rules.max_prompt_tokens,
    }
    for key, wanted in _protocol(job).items():
        if key.partition(".")[0] in _COMPARED and in_force[key] != wanted:
            yield Difference(key, in_force[key], wanted)


def _protocol(job: Job) -> dict[str, object]:
    preset = PRESETS[f"paper-{job.found.task.environment}"]
    return {f"{name}.{key}": v for name, section in preset.items() for key, v in section.items()}


def _plain(value: object) -> object:
    return value if isinstance(value, str | int | float | bool) else str(value)


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
