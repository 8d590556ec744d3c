"""Small hand-made values for the tests of run folders."""

from dataclasses import replace
from typing import Any

from empo2_agent.types import Episode, Segment, ShownTip, Status, Step, Task, Tip


def make_tip(**overrides: Any) -> Tip:
    """A tip with every field filled."""
    tip = Tip(
        id="tip-1",
        text="The lamp is in the attic.",
        key="You are in the hall.",
        action="go to attic",
        score=1.0,
        max_score=1.0,
        environment="toy",
        task="red-lamp",
        variation=2,
        run="earlier",
        episode=0,
        step=3,
        model="scripted",
        created="2026-01-02T03:04:05+00:00",
    )
    return replace(tip, **overrides)


def make_step(**overrides: Any) -> Step:
    """One step without tips."""
    step = Step("You are in the hall.", 3, (), "look", "look", -0.5, 0.0, "hall")
    return replace(step, **overrides)


def make_episode(**overrides: Any) -> Episode:
    """Two steps; the second one's prompt holds a tip."""
    episode = Episode(
        task=Task("toy", "red-lamp", 2, "test"),
        seed=7,
        memory=True,
        status=Status.SUCCESS,
        segments=(
            Segment("prompt", "Find the lamp.", (1, 2, 3)),
            Segment("action", "look", (10,), (-0.5,), (None,)),
            Segment("prompt", "You are in the hall.", (4,)),
            Segment("tip", "The lamp is in the attic.", (7, 8)),
            Segment("action", "go to attic", (11, 12), (-0.25, 0.0), ((11, 13), (12,))),
        ),
        steps=(
            make_step(),
            make_step(
                observation="You are still in the hall.",
                prompt_tokens=7,
                tips=(ShownTip("tip-1", 0.75, 1.0),),
                action="go to attic",
                reply="go to attic",
                logprob=-0.25,
                reward=1.0,
            ),
        ),
        final_observation="There is a red lamp.",
        tip="Go up at once.",
        seconds=0.5,
    )
    return replace(episode, **overrides)
