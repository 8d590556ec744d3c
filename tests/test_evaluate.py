from pathlib import Path

import pytest

from empo2_agent.evaluate import Plan, evaluate, scores
from empo2_agent.needs import Rules
from empo2_agent.runs import create_run, open_run
from empo2_agent.stage import Stage
from empo2_agent.stats import wilson_interval
from empo2_agent.testing import ScriptedPolicy
from empo2_agent.types import Episode, Request, Status, Step, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_toy import PLUGIN

RULES = Rules(
    max_steps=6,
    max_prompt_tokens=8000,
    max_reply_tokens=40,
    max_score=1.0,
    style="constrained",
    temperature=1.0,
)


def episode(variation: int, score: float, status: Status = Status.FAILED) -> Episode:
    step = Step("o", 1, (), "a", "a", 0.0, score, "s")
    return Episode(Task("toy", "x", variation), 0, False, status, (), (step,))


def test_scores_by_hand() -> None:
    """Variation 0: -100 and 100; variation 1: 50 and 50."""
    played = [
        episode(0, -100.0),
        episode(0, 100.0, Status.SUCCESS),
        episode(1, 50.0),
        episode(1, 50.0, Status.STEP_LIMIT),
    ]
    found = scores(played, seed=0)
    assert (found.episodes, found.score.mean, found.score_clipped.mean) == (4, 25.0, 50.0)
    assert (found.score.low, found.score.high, found.score.kind) == (0.0, 50.0, "bootstrap")
    assert found.score_clipped.low == 50.0  # both variations have 50: nothing to resample
    assert (found.success.mean, found.success.kind) == (0.25, "bootstrap")
    assert found.success.ci95 == [0.0, 0.5]
    assert found.statuses == {"failed": 2, "success": 1, "step_limit": 1}


def test_each_variation_counts_once_in_the_interval_of_success() -> None:
    """Ten repeats of four variations that differ: not forty independent episodes."""
    won, lost = Status.SUCCESS, Status.FAILED
    played = [episode(v, 0.0, won if v < 2 else lost) for v in range(4) for _ in range(10)]
    found = scores(played, seed=0).success
    assert found == wilson_interval(2, 4)
    once = scores(played[::10], seed=0)
    assert (once.episodes, once.success) == (4, found)
    mixed = scores([*played, episode(0, 0.0, lost)], seed=0).success
    assert (mixed.kind, mixed.n) == ("bootstrap", 4)
    assert mixed.low is not None
    assert mixed.high is not None
    assert mixed.high - mixed.low > 0.8


def test_repeats_of_a_single_variation_are_its_sample() -> None:
    played = [
        episode(3, float(n % 2), Status.SUCCESS if n % 2 else Status.FAILED) for n in range(8)
    ]
    found = scores(played, seed=0)
    assert found.success == wilson_interval(4, 8)
    assert (found.score.kind, found.score.n, found.score.mean) == ("bootstrap", 8, 0.5)


def test_every_variation_is_played_as_often_as_asked_and_resumed_where_it_stopped(
    tmp_path: Path,
) -> None:
    calls = 0

    def first_choice(request: Request) -> str:
        nonlocal calls
        calls += 1
        if calls == 30:
            raise KeyboardInterrupt
        assert request.choices is not None
        return request.choices[request.seed % len(request.choices)]

    policy = ScriptedPolicy(first_choice)
    run = create_run("eval", "x", settings={}, origins={}, seed=0, run_dir=tmp_path / "run")
    tasks = tuple(Task("toy", "red-lamp", v, "test") for v in PLUGIN.variations("red-lamp", "test"))
    plan = Plan(tasks=tasks, repeats=2, memory=False, seed=0)
    with Worlds(lambda: PLUGIN.make({}), Deadlines(step=10, reset=10)) as worlds:
        stage = Stage(policy, worlds, RULES, PLUGIN.instructions, None, concurrency=3)
        with pytest.raises(KeyboardInterrupt), run:
            list(evaluate(plan, stage, run))
        run = open_run(tmp_path / "run", resume=True)
        done = list(run.episodes())
        assert any(e.usable for e, _ in done)
        events = list(evaluate(plan, stage, run, done))
    played = [event for event in events if isinstance(event, Episode)]
    assert sorted(e.task.variation for e in played) == sorted([*range(15, 20)] * 2)
    assert len({e.seed for e in played}) == 10
    recorded = [place["index"] for e, place in run.episodes() if e.usable]
    assert sorted(recorded) == list(range(10))
    assert all(not e.tip for e in played)
