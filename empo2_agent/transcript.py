"""The append-only ledger of one episode.

Every prompt of an episode is a prefix of the next one, and the sequence without tips is the ledger
minus its `tip` segments: nothing is ever searched for, cut out or tokenised twice.
"""

from collections.abc import Iterable, Sequence

from empo2_agent.interfaces import ChatFormat
from empo2_agent.types import Completion, Message, Segment, SegmentKind

TIP_GAP = "\n\n"
"""Stands between an observation and the tips shown with it; part of the tip segment."""

_EMPTY = "(nothing)"  # some templates drop a message without content


class Transcript:
    """Grows by one observation, then one reply, and so on.

    Args:
        chat: The chat format of the model that will read it.
        instructions: What the model is told once, at the start.
    """

    def __init__(self, chat: ChatFormat, instructions: str) -> None:
        self._chat = chat
        self._segments: list[Segment] = []
        self._messages: list[Message] = [Message("system", instructions.strip())]
        self._ids: list[int] = []
        self._add("prompt", *chat.opening(instructions))

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The ledger so far."""
        return tuple(self._segments)

    @property
    def token_ids(self) -> tuple[int, ...]:
        """All tokens so far, tips included: the prompt when it is the model's turn."""
        return tuple(self._ids)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The same conversation as chat messages, tips included."""
        return tuple(self._messages)

    def observe(self, observation: str, tips: str = "") -> None:
        """Append what the world says, the tips shown with it, and the start of a reply.

        Args:
            observation: Text of the world.
            tips: One block of text, set off by a blank line; empty for none.
        """
        observation = observation.strip() or _EMPTY
        text, ids = self._chat.world(observation)
        self._add("prompt", text, ids)
        content = text
        if tips.strip():
            text, ids = self._chat.world(TIP_GAP + tips.strip())
            self._add("tip", text, ids)
            content += text
        self._messages.append(Message("user", content))
        self._add("prompt", *self._chat.reply())

    def reply(self, completion: Completion) -> None:
        """Append a reply as sampled, and what stands between it and the next observation."""
        segment = self._sampled(completion)
        self._segments.append(segment)
        self._ids += segment.token_ids
        self._messages.append(Message("assistant", completion.text))
        self._add("prompt", *self._chat.next_turn(ended=completion.ended))

    def replace_reply(self, executed: str, completion: Completion) -> Segment:
        """Append the words that were executed instead of those sampled.

        Returns:
            The reply as sampled, which the ledger does not show.
        """
        text, ids = self._chat.world(executed)
        self._add("prompt", text, ids)
        self._messages.append(Message("assistant", text))
        self._add("prompt", *self._chat.next_turn(ended=False))
        return self._sampled(completion)

    def cost(self, text: str) -> int:
        """How many tokens `text` of a world takes."""
        return len(self._chat.world(text)[1])

    def _sampled(self, completion: Completion) -> Segment:
        end = self._chat.end_text if completion.ended else ""
        return Segment(
            "action",
            completion.text + end,
            completion.token_ids,
            completion.logprobs,
            completion.allowed,
        )

    def fork(self) -> "Transcript":
        """A copy that can be continued without touching this one."""
        copy = object.__new__(Transcript)
        copy._chat = self._chat
        copy._segments = list(self._segments)
        copy._messages = list(self._messages)
        copy._ids = list(self._ids)
        return copy

    def _add(self, kind: SegmentKind, text: str, ids: Iterable[int]) -> None:
        segment = Segment(kind, text, tuple(ids))
        self._segments.append(segment)
        self._ids += segment.token_ids


def without_tips(segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The ledger as if no tip had been shown."""
    return tuple(segment for segment in segments if segment.kind != "tip")


def tokens(segments: Sequence[Segment]) -> tuple[int, ...]:
    """The token ids of a ledger, in order."""
    return tuple(i for segment in segments for i in segment.token_ids)


def text(segments: Sequence[Segment]) -> str:
    """The text of a ledger, in order."""
    return "".join(segment.text for segment in segments)
