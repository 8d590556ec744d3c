"""Carrying out `empo2 play`: an episode whose every reply passes before somebody's eyes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from empo2_agent.cli.common import emit_text
from empo2_agent.cli.job import Job
from empo2_agent.cli.session import session
from empo2_agent.interfaces import ChatFormat, Policy
from empo2_agent.needs import Recall
from empo2_agent.prompts import tip_entry
from empo2_agent.rollout import Finished, Recaller
from empo2_agent.runs import episode_to_json
from empo2_agent.stage import Wanted, play_all
from empo2_agent.types import Completion, Episode, Recalled, Request

if TYPE_CHECKING:
    from rich.console import Console


class StopPlayingError(Exception):
    """The user has seen enough."""


class Spectator:
    """A policy that shows what another one is asked and answers, and lets a person overrule it.

    Args:
        policy: The one that plays.
        asking: Whether a person is asked at each step.
        shown: Whether anything is printed.
    """

    def __init__(self, policy: Policy, *, asking: bool, shown: bool) -> None:
        self._policy = policy
        self._asking = asking
        self._shown = shown

    @property
    def chat(self) -> ChatFormat:
        """See `interfaces.Policy`."""
        return self._policy.chat

    @property
    def name(self) -> str:
        """See `interfaces.Policy`."""
        return self._policy.name

    @property
    def context_limit(self) -> int:
        """See `interfaces.Policy`."""
        return self._policy.context_limit

    def release(self, conversation: int) -> None:
        """See `interfaces.Policy`."""
        self._policy.release(conversation)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `interfaces.Policy`. Raises StopPlayingError where the person says so."""
        return [self._one(request) for request in requests]

    def _one(self, request: Request) -> Completion:
        if self._shown:
            emit_text(["", request.messages[-1].content])
        completion = self._policy.generate([request])[0]
        if self._shown:
            among = f" of {len(request.choices)} admissible" if request.choices else ""
            emit_text(
                [f"> {completion.text}   (log-probability {sum(completion.logprobs):.2f}{among})"]
            )
        if self._asking:
            words = input("Enter, an action, :run or :quit? ").strip()
            if words == ":quit":
                raise StopPlayingError
            if words == ":run":
                self._asking = False
            elif words:
                return self._said(words)
        return completion

    def _said(self, words: str) -> Completion:
        """A person's words: nothing was sampled, so each token counts as forced."""
        ids = (*self.chat.world(words)[1], *self.chat.end_ids)
        return Completion(words, ids, (0.0,) * len(ids), tuple((i,) for i in ids), ended=True)


def carry_out(job: Job, console: "Console", *, asking: bool, shown: bool) -> dict[str, Any]:
    """Play one episode; the document of `--json`.

    Raises:
        Empo2Error: Whatever keeps it from beginning or going on.
    """
    task = job.found.task
    with session(job, console, concurrency=1) as opened:
        stage = replace(
            opened.stage,
            policy=Spectator(opened.policy, asking=asking, shown=shown),
            recall=_shown_recall(opened.stage.recall) if shown else opened.stage.recall,
        )
        wanted = Wanted(task, opened.settings.seed, memory=opened.memory is not None, tip=False)
        if shown:
            emit_text([opened.plugin.instructions(task)])
        episode: Episode | None = None
        try:
            for event in play_all(stage, [wanted]):
                if isinstance(event, Finished):
                    opened.run.add_episode(event.episode)
                    episode = event.episode
        except (StopPlayingError, EOFError):
            console.print("stopped; the unfinished episode is not recorded")
        if episode is None:
            opened.run.finish("interrupted")
            return {"run": str(opened.run.path), "episode": None}
        if shown:
            emit_text(["", episode.final_observation, _ending(episode, opened.plugin.max_score)])
            emit_text([f"recorded in {opened.run.path}"])
        return {"run": str(opened.run.path), "episode": episode_to_json(episode)}


def _ending(episode: Episode, max_score: float) -> str:
    return (
        f"{episode.status}: score {episode.score:g} of {max_score:g} in {len(episode.steps)} steps"
    )


def _shown_recall(recall: Recaller | None) -> Recaller | None:
    """The same recalls, with what was found printed."""
    if recall is None:
        return None

    def shown(wanted: Sequence[Recall]) -> list[list[Recalled]]:
        found = recall(wanted)
        emit_text(
            [
                f"[tip {one.tip.id}, similarity {one.similarity:.2f}] {tip_entry(one)}"
                for tips in found
                for one in tips
            ]
        )
        return found

    return shown
