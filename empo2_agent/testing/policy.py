"""A policy that says what it was told to say, over a vocabulary of bytes. It keeps every request."""

from collections.abc import Callable, Iterable, Iterator, Sequence

from empo2_agent.text import clean
from empo2_agent.types import Completion, Request

SYSTEM, USER, ASSISTANT, END = 256, 257, 258, 259
_MARKS = {SYSTEM: "<|system|>", USER: "<|user|>", ASSISTANT: "<|assistant|>", END: "<|end|>"}


class ByteChat:
    """A ChatFormat whose tokens are UTF-8 bytes, and 256 to 259 for the marks between turns."""

    def opening(self, instructions: str) -> tuple[str, tuple[int, ...]]:
        """See ChatFormat.opening."""
        text, ids = self.world(instructions.strip())
        between = _marks(END, USER)
        return _MARKS[SYSTEM] + text + between[0], (SYSTEM, *ids, *between[1])

    def world(self, text: str) -> tuple[str, tuple[int, ...]]:
        """See ChatFormat.world. Marks written out in `text` are bytes like any other."""
        text = clean(text)
        return text, tuple(text.encode())

    def reply(self) -> tuple[str, tuple[int, ...]]:
        """See ChatFormat.reply."""
        return _marks(END, ASSISTANT)

    def next_turn(self, *, ended: bool) -> tuple[str, tuple[int, ...]]:
        """See ChatFormat.next_turn."""
        return _marks(USER) if ended else _marks(END, USER)

    @property
    def end_text(self) -> str:
        """See ChatFormat.end_text."""
        return _MARKS[END]

    @property
    def end_ids(self) -> tuple[int, ...]:
        """See ChatFormat.end_ids."""
        return (END,)

    def decode(self, token_ids: Iterable[int]) -> str:
        """The text of tokens; a character cut in two is left out."""
        parts = (_MARKS[i].encode() if i in _MARKS else bytes((i,)) for i in token_ids)
        return b"".join(parts).decode(errors="ignore")


class ScriptedPolicy:
    """A Policy with a script.

    Args:
        replies: One text a request, in order over all episodes, or a function of the request.
        context_limit: See Policy.context_limit.

    A reply longer than `max_tokens` bytes is cut there and does not end its turn. Every token has
    log-probability 0 and everything allowed: the script leaves no choice.
    """

    name = "scripted"

    def __init__(
        self,
        replies: Iterable[str] | Callable[[Request], str],
        *,
        context_limit: int = 1_000_000,
    ) -> None:
        self._script: Iterator[str] | None = None if callable(replies) else iter(replies)
        self._function = replies if callable(replies) else None
        self.chat = ByteChat()
        self.context_limit = context_limit
        self.requests: list[Request] = []
        """Every request, in order."""
        self.released: list[int] = []
        """Conversations that were released, in order."""

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See Policy.generate.

        Raises:
            ValueError: The script is at its end, or says what a request does not allow.
        """
        completions = []
        for request in requests:
            self.requests.append(request)
            completions.append(self._complete(request))
        return completions

    def release(self, conversation: int) -> None:
        """See Policy.release."""
        self.released.append(conversation)

    def _complete(self, request: Request) -> Completion:
        text = self._next(request)
        if request.choices is not None and text not in request.choices:
            raise ValueError(f"the script says {text!r}, allowed are only {list(request.choices)}")
        ids = (*text.encode(), END)
        if request.choices is None and len(ids) > request.max_tokens:
            ids = ids[: request.max_tokens]
            text = self.chat.decode(i for i in ids if i != END)
        return Completion(
            text=text,
            token_ids=ids,
            logprobs=(0.0,) * len(ids),
            allowed=(None,) * len(ids),
            ended=ids[-1:] == (END,),
        )

    def _next(self, request: Request) -> str:
        if self._function is not None:
            return self._function(request)
        assert self._script is not None
        reply = next(self._script, None)
        if reply is None:
            count = len(self.requests) - 1
            raise ValueError(f"the script has {count} replies, and request {count + 1} came")
        return reply


def _marks(*ids: int) -> tuple[str, tuple[int, ...]]:
    return "".join(_MARKS[i] for i in ids), ids
