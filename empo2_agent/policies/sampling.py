"""Choosing the next tokens of one reply, freely or along a trie of the texts that are allowed.

Each reply draws from a random stream of its own, so that what is sampled depends on the request
and on the logits, and never on what else is in the batch.
"""

import random
from collections.abc import Collection, Sequence

import torch
from torch import Tensor

from empo2_agent.actions import Node, forced
from empo2_agent.errors import ModelError


def distribution(
    logits_V: Tensor, temperature: float, allowed: Sequence[int] | None
) -> tuple[Tensor, Tensor]:
    """Log-probabilities sampled from, float64, and the ids they belong to.

    Args:
        logits_V: Raw logits over the vocabulary.
        temperature: Above 0: softmax(logits / temperature). 0: all mass on the largest logit.
        allowed: Restrict to these ids before normalising; None: all.
    """
    ids = torch.arange(len(logits_V)) if allowed is None else torch.tensor(list(allowed))
    scores = logits_V.detach().cpu().double()[ids]
    if temperature == 0:
        logprobs = torch.full_like(scores, -torch.inf)
        logprobs[scores.argmax()] = 0.0
        return logprobs, ids
    return torch.log_softmax(scores / temperature, dim=0), ids


class Reply:
    """One reply being sampled.

    Args:
        seed: Of its random stream.
        temperature: See `distribution`.
        max_tokens: A free reply is cut here; a constrained one always completes its text.
        end: The id that ends the turn of a free reply, and is part of it.
        stops: Other ids at which a free reply is over, and which are not part of it.
        choices: Root of the trie of allowed token sequences; None: free.
    """

    def __init__(
        self,
        *,
        seed: int,
        temperature: float,
        max_tokens: int,
        end: int,
        stops: Collection[int],
        choices: Node | None,
    ) -> None:
        self._random = random.Random(seed)
        self._temperature = temperature
        self._max_tokens = max_tokens
        self._end = end
        self._stops = stops
        self._node = choices
        self.token_ids: list[int] = []
        self.logprobs: list[float] = []
        self.allowed: list[tuple[int, ...] | None] = []
        self.done = False
        self.ended = False
        self._jump()

    def take(self, logits_V: Tensor) -> None:
        """Sample the next token from its logits; then whatever must follow it."""
        allowed = None if self._node is None else tuple(self._node)
        logprobs, ids = distribution(logits_V, self._temperature, allowed)
        index = _draw(logprobs, self._random)
        token = int(ids[index])
        if self._node is None and token in self._stops:
            self.done = True
            return
        self._append(token, float(logprobs[index]), allowed)
        if self._node is not None:
            self._node = self._node[token]
            self._jump()
        elif token == self._end or len(self.token_ids) >= self._max_tokens:
            self.done, self.ended = True, token == self._end

    def _jump(self) -> None:
        """Append the tokens that have no alternative: nothing is sampled, log-probability 0."""
        if self._node is None:
            return
        path, self._node = forced(self._node)
        for token in path:
            self._append(token, 0.0, (token,))
        self.done = self.ended = not self._node

    def _append(self, token: int, logprob: float, allowed: tuple[int, ...] | None) -> None:
        self.token_ids.append(token)
        self.logprobs.append(logprob)
        self.allowed.append(allowed)


def _draw(logprobs: Tensor, stream: random.Random) -> int:
    """Inverse-transform sampling; never an entry without mass.

    Raises:
        ModelError: There is none with mass.
    """
    cumulative = logprobs.exp().cumsum(0)
    if not bool(cumulative[-1] > 0):
        raise ModelError("what the model computes is no number (NaN): its weights are spoilt.")
    at = int(torch.searchsorted(cumulative, stream.random() * float(cumulative[-1]), right=True))
    last = int(torch.nonzero(logprobs > -torch.inf)[-1])
    return min(at, last)
