"""Play one episode.

An episode is a generator of needs: it yields what it wants (a reset, an action carried out, the
admissible actions, tips for a state, a reply of the model), is sent the answer, and returns an
`Episode`. It knows neither threads nor models nor stores, so that one function serves the command
line (one at a time), training (many at once) and tests (answers from a script).
"""

import hashlib
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from empo2_agent.actions import nearest, read_action
from empo2_agent.interfaces import ChatFormat
from empo2_agent.needs import (
    SAME_TIP,
    Act,
    Admissible,
    Answer,
    BrokenWorldError,
    EpisodeRun,
    InterruptedEpisodeError,
    Need,
    Recall,
    Reset,
    Rules,
)
from empo2_agent.prompts import tip_block, tip_request
from empo2_agent.text import one_line, overlap, words
from empo2_agent.transcript import TIP_GAP, Transcript
from empo2_agent.types import (
    Completion,
    Episode,
    Recalled,
    Request,
    Segment,
    ShownTip,
    Status,
    Step,
    StepResult,
    Task,
)


def play(
    task: Task,
    rules: Rules,
    *,
    chat: ChatFormat,
    instructions: str,
    memory: bool,
    seed: int,
    conversation: int,
) -> EpisodeRun:
    """Play `task` once.

    Args:
        task: What to play.
        rules: Limits, action style and temperature.
        chat: The chat format of the model that will answer.
        instructions: What the model is told once, at the start.
        memory: Whether tips are asked for (`Recall`).
        seed: Given to the environment and, mixed with the step's number, to every request.
        conversation: Number under which the policy may keep what it cached.

    Returns:
        The episode. `BrokenWorldError` and `InterruptedEpisodeError`, thrown in by whoever drives
        it, end it with ENV_ERROR and INTERRUPTED; other exceptions pass through.
    """
    started = time.monotonic()
    player = _Player(task, rules, Transcript(chat, instructions), memory, seed, conversation)
    status, error, tip = Status.INTERRUPTED, "", ""
    try:
        player.now, _ = yield from _ask(Reset(task, seed), StepResult)
        while (ended := player.limit(time.monotonic() - started)) is None:
            yield from player.step()
        status = ended
        tip = yield from player.write_tip()
    except BrokenWorldError as broken:
        status, error = Status.ENV_ERROR, str(broken)
    except InterruptedEpisodeError:
        status = (
            Status.INTERRUPTED
        )  # also where only the tip is missing: without it, it is not whole
    return Episode(
        task=task,
        seed=seed,
        memory=memory,
        status=status,
        segments=player.transcript.segments,
        steps=tuple(player.steps),
        final_observation=player.now.observation,
        final_state=player.key(),
        tip=tip,
        error=error,
        seconds=time.monotonic() - started,
    )


def request_seed(seed: int, step: int) -> int:
    """A seed of its own for each step of each episode, the same on every machine."""
    digest = hashlib.blake2b(f"{seed}/{step}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


@dataclass(slots=True)
class _Player:
    """What changes while an episode is played."""

    task: Task
    rules: Rules
    transcript: Transcript
    memory: bool
    seed: int
    conversation: int
    now: StepResult = field(default_factory=lambda: StepResult(""))
    steps: list[Step] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)
    tip_tokens: int = 0
    too_long: bool = False

    def key(self) -> str:
        """What the present situation is remembered by."""
        return self.now.state or self.now.observation

    def limit(self, seconds: float) -> Status | None:
        """How the episode has ended before its next step; None: it goes on."""
        if self.now.status is not None:
            return self.now.status
        if self.too_long:
            return Status.TOKEN_LIMIT
        if len(self.steps) >= self.rules.max_steps:
            return Status.STEP_LIMIT
        if self.rules.seconds is not None and seconds > self.rules.seconds:
            return Status.TIME_LIMIT
        return None

    def step(self) -> Generator[Need, Answer, None]:
        """One decision: recall, ask, act. Sets `too_long` instead where the prompt is."""
        recalled, retrieval_ms = yield from self._recall()
        before, key = self.now, self.key()
        # Where tips do not fit, the episode goes on without them: they must never end it.
        if not (recalled and self._observe(recalled)):
            recalled = []
            if not self._observe([]):
                self.too_long = True
                return
        prompt_tokens = len(self.transcript.token_ids)
        admissible, listing_ms = yield from self._admissible()
        request = self._request(self.transcript, self.rules.max_reply_tokens)
        if self.rules.style == "constrained" and admissible:
            request = replace(request, choices=admissible)
        completion, model_ms = yield from _ask(request, Completion)
        action, sampled = self._take(completion, admissible)
        self.now, acting_ms = yield from _ask(Act(action), StepResult)
        self.steps.append(
            Step(
                observation=before.observation,
                prompt_tokens=prompt_tokens,
                tips=tuple(ShownTip(r.tip.id, r.similarity, r.tip.score) for r in recalled),
                action=action,
                reply=completion.text,
                logprob=sum(completion.logprobs),
                reward=self.now.reward,
                state=key,
                sampled=sampled,
                version=completion.version,
                environment_ms=listing_ms + acting_ms,
                retrieval_ms=retrieval_ms,
                model_ms=model_ms,
            )
        )

    def write_tip(self) -> Generator[Need, Answer, str]:
        """Ask for one sentence about the episode.

        Empty where none is wanted, where it cannot fit, and where it only repeats a tip that was
        shown: a recalled tip is never written back as a new one.
        """
        if not self.rules.max_tip_tokens or not self.steps or self.too_long:
            return ""
        score = sum(step.reward for step in self.steps)
        asking = self.transcript.fork()
        done = [(step.action, step.reward) for step in self.steps]
        asking.observe(tip_request(self.now.observation, score, self.rules.max_score, done))
        if len(asking.token_ids) > self.rules.max_prompt_tokens:
            return ""
        completion, _ = yield from _ask(
            self._request(asking, self.rules.max_tip_tokens), Completion
        )
        tip = one_line(completion.text)
        known = (overlap(words(tip), words(text)) for text in self.shown)
        return "" if max(known, default=0.0) >= SAME_TIP else tip

    def _recall(self) -> Generator[Need, Answer, tuple[list[Recalled], float]]:
        if not self.memory:
            return [], 0.0
        return (
            yield from _ask(Recall(self.key(), self.task, tuple(self.shown), self.tip_tokens), list)
        )

    def _observe(self, recalled: list[Recalled]) -> bool:
        """Append the observation and these tips to the transcript, if that fits."""
        longer = self.transcript.fork()
        longer.observe(self.now.observation, tip_block(recalled))
        if len(longer.token_ids) > self.rules.max_prompt_tokens:
            return False
        self.transcript = longer
        if recalled:
            self.tip_tokens += longer.cost(TIP_GAP + tip_block(recalled))
            self.shown += [one.tip.text for one in recalled]
        return True

    def _admissible(self) -> Generator[Need, Answer, tuple[tuple[str, ...], float]]:
        """The actions to keep to; none where the style is free or the world cannot list them."""
        if self.rules.style == "free":
            return (), 0.0
        answer = yield Admissible()
        listed = answer.value if isinstance(answer.value, tuple) else ()
        return tuple(dict.fromkeys(listed)), answer.milliseconds

    def _request(self, transcript: Transcript, max_tokens: int) -> Request:
        return Request(
            token_ids=transcript.token_ids,
            messages=transcript.messages,
            conversation=self.conversation,
            max_tokens=max_tokens,
            temperature=self.rules.temperature,
            seed=request_seed(self.seed, len(self.steps)),
        )

    def _take(
        self, completion: Completion, admissible: tuple[str, ...]
    ) -> tuple[str, Segment | None]:
        """The action to execute; with it the reply as sampled where the transcript differs."""
        action = read_action(completion.text)
        if self.rules.style == "correct" and admissible:
            corrected = nearest(action, admissible)
            if corrected != action:
                return corrected, self.transcript.replace_reply(corrected, completion)
        self.transcript.reply(completion)
        return action, None


Answered = TypeVar("Answered")


def _ask(need: Need, kind: type[Answered]) -> Generator[Need, Answer, tuple[Answered, float]]:
    """Yield a need; its answer, checked to be of the right kind, and its milliseconds."""
    answer = yield need
    if not isinstance(answer.value, kind):
        raise TypeError(f"{type(need).__name__} was answered with {type(answer.value).__name__}")
    return answer.value, answer.milliseconds
