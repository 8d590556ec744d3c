"""Episodes to imitate: the environment's own solutions, played through the real episode.

The demonstrator is a policy that knows what to reply, so that ledger, memory, tips and admissible
actions are those of any other episode.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from random import Random

from empo2_agent.actions import trie
from empo2_agent.episode import request_seed
from empo2_agent.interfaces import ChatFormat
from empo2_agent.rollout import Finished, Progress
from empo2_agent.stage import Stage, Wanted, episode_seed, play_all
from empo2_agent.types import Completion, Episode, Request, Task

LONGEST_PLAN = 8
"""Actions a demonstrated tip lists; where more led to the score, those that earned it."""
_RISKY = "focus on"  # one wrong focus ends a ScienceWorld episode


@dataclass(frozen=True, slots=True)
class Script:
    """What is played in one episode: these actions, then admissible ones at random."""

    task: Task
    actions: tuple[str, ...]
    seed: int


class Demonstrator:
    """A `Policy` that plays scripts. It knows which and where from the seed of the request.

    Args:
        chat: Of the model that will imitate.
        context_limit: Of that model.
        scripts: Each with a seed of its own.
        max_steps: Most steps of an episode.
    """

    name = "demonstrator"

    def __init__(
        self, chat: ChatFormat, context_limit: int, scripts: Sequence[Script], max_steps: int
    ) -> None:
        self.chat = chat
        self.context_limit = context_limit
        self._places = {
            request_seed(script.seed, step): (script, step)
            for script in scripts
            for step in range(max_steps)
        }

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `interfaces.Policy`. Log-probabilities are 0: nothing was sampled."""
        return [self._reply(request) for request in requests]

    def release(self, conversation: int) -> None:
        """See `interfaces.Policy`."""

    def _reply(self, request: Request) -> Completion:
        script, step = self._places[request.seed]
        if step < len(script.actions):
            return self._completion(script.actions[step], request.choices)
        choices = request.choices or ("look around",)
        harmless = [action for action in choices if not action.startswith(_RISKY)]
        draw = Random(episode_seed(script.seed, step))
        return self._completion(draw.choice(harmless or list(choices)), request.choices)

    def _completion(self, text: str, choices: Sequence[str] | None) -> Completion:
        ids = (*self.chat.world(text)[1], *self.chat.end_ids)
        allowed: list[tuple[int, ...] | None] = [None] * len(ids)
        if choices is not None and text in choices:
            node = trie((*self.chat.world(one)[1], *self.chat.end_ids) for one in choices)
            for place, token in enumerate(ids):
                allowed[place] = tuple(node)
                node = node[token]
        elif choices is not None:  # the engine takes it but does not list it: input only
            allowed = [(token,) for token in ids]
        return Completion(text, ids, (0.0,) * len(ids), tuple(allowed), ended=True)


def told(episode: Episode) -> str:
    """The tip a demonstrated episode leaves: what earned points, or what did not."""
    gains = [n for n, step in enumerate(episode.steps) if step.reward > 0]
    lost = [step.action for step in episode.steps if step.reward < 0]
    if gains:
        useful = [step.action for step in episode.steps[: gains[-1] + 1]]
        if len(useful) > LONGEST_PLAN:
            useful = [episode.steps[n].action for n in gains]
        return f"Do: {'; '.join(useful)}."
    if lost:
        return f"Do not: {'; '.join(lost)}."
    tried = list(dict.fromkeys(step.action for step in episode.steps))[:4]
    return f"Nothing gained by: {'; '.join(tried)}."


def demonstrate(
    stage: Stage, scripts: Sequence[Script], *, memory: bool
) -> Generator[Progress, None, list[Episode]]:
    """Play scripts; each episode with the tip that `told` makes of it.

    Args:
        stage: Its policy lends the chat format and the context.
        scripts: What to play.
        memory: Whether tips are shown.
    """
    model, rules = stage.policy, replace(stage.rules, max_tip_tokens=0)
    policy = Demonstrator(model.chat, model.context_limit, scripts, rules.max_steps)
    acting = replace(stage, policy=policy, rules=rules)
    wanted = [Wanted(s.task, s.seed, memory=memory, tip=False) for s in scripts]
    found: dict[int, Episode] = {}
    for event in play_all(acting, wanted):
        if isinstance(event, Finished):
            found[event.index] = replace(event.episode, tip=told(event.episode))
        else:
            yield event
    return [found[n] for n in sorted(found) if found[n].usable]
