"""Eight ScienceWorld episodes of ten steps at once, against one at a time with plain `generate`.

Both sides play the same greedy constrained actions with the same weights through the same
scheduler. Ours batches the episodes and keeps keys and values between turns; the other calls
`transformers`' own `generate` for one prompt after the other, from its first token, with
`prefix_allowed_tokens_fn` for the admissible actions. Type: python -m benchmarks.rollout
"""

import time
from collections.abc import Sequence
from statistics import median

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from benchmarks.harness import write_result
from empo2_agent.actions import Node, trie
from empo2_agent.chat import TemplateChat
from empo2_agent.interfaces import Policy
from empo2_agent.needs import Rules
from empo2_agent.policies.catalog import DEFAULT
from empo2_agent.policies.models import ensure_model
from empo2_agent.policies.transformers import load
from empo2_agent.rollout import Finished
from empo2_agent.stage import Stage, Wanted, play_all
from empo2_agent.types import Completion, Episode, Request, Task
from empo2_agent.worlds import Deadlines, Worlds
from empo2_scienceworld import PLUGIN

EPISODES, STEPS, ROUNDS, BAR = 8, 10, 3, 4.0
TASK = "find-non-living-thing"


class OneByOne:
    """A policy that calls `generate` for each request and keeps nothing."""

    name = "generate"

    def __init__(self) -> None:
        folder = ensure_model(None)
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
        self.chat = TemplateChat(self._tokenizer)
        self.context_limit = int(self._model.config.max_position_embeddings)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `interfaces.Policy`."""
        return [self._one(request) for request in requests]

    def release(self, conversation: int) -> None:
        """Nothing is held."""

    def _one(self, request: Request) -> Completion:
        prompt = torch.tensor([request.token_ids])
        root = trie(
            (*self.chat.world(text)[1], *self.chat.end_ids) for text in request.choices or ()
        )

        def allowed(_: int, ids: torch.Tensor) -> list[int]:
            node: Node = root
            for token in ids[prompt.shape[1] :].tolist():
                node = node[token]
            return list(node) or list(self.chat.end_ids)

        with torch.inference_mode():
            out = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=64,
                eos_token_id=self.chat.end_ids[-1],
                pad_token_id=self.chat.end_ids[-1],
                prefix_allowed_tokens_fn=allowed if request.choices else None,
            )
        ids = tuple(out[0, prompt.shape[1] :].tolist())
        text = self._tokenizer.decode(ids[: -len(self.chat.end_ids)])
        return Completion(text, ids, (0.0,) * len(ids), (None,) * len(ids), ended=True)


def play(policy: Policy, worlds: Worlds, concurrency: int) -> tuple[float, list[Episode]]:
    """Seconds for all episodes, and the episodes in order."""
    rules = Rules(
        max_steps=STEPS,
        max_prompt_tokens=8000,
        max_reply_tokens=64,
        max_score=PLUGIN.max_score,
        style="constrained",
        temperature=0.0,
    )
    stage = Stage(policy, worlds, rules, PLUGIN.instructions, None, concurrency)
    members = PLUGIN.variations(TASK, "test")[:EPISODES]
    wanted = [Wanted(Task("scienceworld", TASK, v), 0, memory=False, tip=False) for v in members]
    started = time.perf_counter()
    events = [event for event in play_all(stage, wanted) if isinstance(event, Finished)]
    seconds = time.perf_counter() - started
    return seconds, [e.episode for e in sorted(events, key=lambda event: event.index)]


def main() -> None:
    """Measure both sides in turn."""
    ours, theirs = load(ensure_model(None), name=DEFAULT), OneByOne()
    our_seconds, their_seconds, same = [], [], 0
    with Worlds(lambda: PLUGIN.make(PLUGIN.defaults), Deadlines(step=60, reset=120)) as worlds:
        worlds.warm_up(EPISODES)
        for _ in range(ROUNDS):
            ours.weights_changed()  # nothing cached from the round before
            seconds, our_episodes = play(ours, worlds, EPISODES)
            our_seconds.append(seconds)
            seconds, their_episodes = play(theirs, worlds, 1)
            their_seconds.append(seconds)
            same = sum(
                [s.action for s in a.steps] == [s.action for s in b.steps]
                for a, b in zip(our_episodes, their_episodes, strict=True)
            )
    ratio = median(t / o for t, o in zip(their_seconds, our_seconds, strict=True))
    write_result(
        "rollout",
        ours={"episodes_per_minute": EPISODES * 60 / median(our_seconds), "seconds": our_seconds},
        theirs={
            "episodes_per_minute": EPISODES * 60 / median(their_seconds),
            "seconds": their_seconds,
        },
        ratio=ratio,
        bar=BAR,
        met=ratio >= BAR,
        note=f"{same} of {EPISODES} episodes took the same actions on both sides; "
        "ratio: median over rounds of their seconds by ours",
    )


if __name__ == "__main__":
    main()
