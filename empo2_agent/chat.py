"""A tokenizer's chat template, cut into the fixed pieces that surround each message.

The one rule: text of a world never becomes a special token. The template's own pieces are encoded
once, at load; everything else goes through `world`, which cannot produce a special or added id.
"""

import re
import threading
from collections.abc import Sequence
from typing import Any, Protocol

from empo2_agent.errors import ModelError
from empo2_agent.text import clean
from empo2_agent.types import Message

# Plain words that no template rewrites and that cannot occur inside each other.
_MARKS = ("Qsysq", "Quonea", "Qasonea", "Qutwob", "Qastwob", "Quthrc")


class Tokenizer(Protocol):
    """What is used of a Hugging Face tokenizer."""

    def apply_chat_template(self, conversation: list[dict[str, str]], **kwargs: Any) -> Any:
        """See `transformers`."""
        ...

    def encode(self, text: str, **kwargs: Any) -> list[int]:
        """See `transformers`."""
        ...

    def get_added_vocab(self) -> dict[str, int]:
        """See `transformers`."""
        ...

    @property
    def all_special_ids(self) -> list[int]:
        """See `transformers`."""
        ...


def render(tokenizer: Tokenizer, messages: Sequence[Message], *, reply: bool) -> str:
    """What the tokenizer's own template makes of `messages`; `reply`: up to the model's turn."""
    plain = [{"role": message.role, "content": message.content} for message in messages]
    text = tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=reply)
    assert isinstance(text, str)
    return text


class TemplateChat:
    """The pieces of one chat template (an `interfaces.ChatFormat`).

    Raises:
        ModelError: No template, or one that rewrites earlier turns, so that a conversation
            cannot be extended without changing what was said before.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()  # `encode` switches a mode of the shared tokenizer
        self.has_system_role, pieces = _pieces(tokenizer)
        before, after_system, reply, following = pieces
        added = [token for token in tokenizer.get_added_vocab() if token.strip() and len(token) > 1]
        self._cut = re.compile(
            "|".join(f"(?<={re.escape(t[0])})(?={re.escape(t[1:])})" for t in added) or "(?!)"
        )
        self._end, rest = _split_end(following, added)
        self._before = before, self._template(before)
        self._after_system = after_system, self._template(after_system)
        self._reply = reply, self._template(reply)
        self._rest = rest, self._template(rest)
        self._end_ids = self._template(self._end)

    def opening(self, instructions: str) -> tuple[str, tuple[int, ...]]:
        """See `interfaces.ChatFormat`."""
        text, ids = self.world(instructions.strip())
        return self._before[0] + text + self._after_system[0], (
            *self._before[1],
            *ids,
            *self._after_system[1],
        )

    def world(self, text: str) -> tuple[str, tuple[int, ...]]:
        """See `interfaces.ChatFormat`."""
        text = clean(text)
        # Added tokens that are not marked special survive `split_special_tokens`. Cutting the
        # text inside them changes no character and leaves nothing to match.
        parts = [part for part in self._cut.split(text) if part]
        return text, tuple(i for part in parts for i in self._encode(part, split=True))

    def reply(self) -> tuple[str, tuple[int, ...]]:
        """See `interfaces.ChatFormat`."""
        return self._reply

    def next_turn(self, *, ended: bool) -> tuple[str, tuple[int, ...]]:
        """See `interfaces.ChatFormat`."""
        text, ids = self._rest
        return (text, ids) if ended else (self._end + text, self._end_ids + ids)

    @property
    def end_text(self) -> str:
        """See `interfaces.ChatFormat`."""
        return self._end

    @property
    def end_ids(self) -> tuple[int, ...]:
        """See `interfaces.ChatFormat`."""
        return self._end_ids

    def _template(self, text: str) -> tuple[int, ...]:
        return self._encode(text, split=False)

    def _encode(self, text: str, *, split: bool) -> tuple[int, ...]:
        with self._lock:
            ids = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=split)
        return tuple(ids)


def _pieces(tokenizer: Tokenizer) -> tuple[bool, tuple[str, str, str, str]]:
    """Whether there is a system role; (start, after instructions, before reply, after reply)."""
    marks = re.compile("|".join(_MARKS))
    has_system, whole = True, _rendered(tokenizer, system=True)
    if marks.findall(whole) != list(_MARKS):  # refused or dropped the system message
        has_system, whole = False, _rendered(tokenizer, system=False)
    if marks.findall(whole) != list(_MARKS):
        raise ModelError(
            "the model's chat template drops, repeats or reorders messages, so a conversation "
            "cannot be extended turn by turn. Try a model with a plain template."
        )
    before, after_system, reply, following, reply2, following2, tail = marks.split(whole)
    if not reply == reply2 == tail or following != following2:
        raise ModelError(
            "the model's chat template rewrites earlier turns "
            f"({reply!r}, {reply2!r}, {tail!r} stand before replies), so what was said cannot be "
            "kept as it was. Try a model with a plain template."
        )
    return has_system, (before, after_system, reply, following)


def _rendered(tokenizer: Tokenizer, *, system: bool) -> str:
    """A conversation of marks through the template; empty where the template refuses it."""
    instructions, u1, a1, u2, a2, u3 = _MARKS
    opening = (
        [Message("system", instructions), Message("user", u1)]
        if system
        else [Message("user", f"{instructions}\n\n{u1}")]
    )
    turns = [Message("assistant", a1), Message("user", u2), Message("assistant", a2)]
    try:
        return render(tokenizer, [*opening, *turns, Message("user", u3)], reply=True)
    except ValueError as error:
        raise ModelError(f"the model's tokenizer has no usable chat template: {error}") from error
    except Exception:  # noqa: BLE001 - templates raise errors of their own for roles they lack
        return ""


def _split_end(following: str, special: Sequence[str]) -> tuple[str, str]:
    """Cut the text after a reply behind its first special token, the end of the turn."""
    places = [
        (following.index(token), -len(token), token) for token in special if token in following
    ]
    if not places:
        raise ModelError("the model's chat template ends a reply without a special token")
    start, _, token = min(places)
    if following[:start].strip():
        raise ModelError(f"the model's chat template ends a reply with text: {following!r}")
    return following[: start + len(token)], following[start + len(token) :]
