"""Any causal chat model of Hugging Face transformers, batched, on a CPU or a GPU.

Keys and values stay between the turns of a conversation, and a new conversation starts from the
longest beginning it shares with one still held.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel

from empo2_agent.actions import Node, trie
from empo2_agent.chat import TemplateChat
from empo2_agent.errors import ModelError
from empo2_agent.policies import flat
from empo2_agent.policies.sampling import Reply
from empo2_agent.quiet import no_progress_bars
from empo2_agent.types import Completion, Request

DType = Literal["auto", "float32", "bfloat16", "float16"]
_KNOWN_CHOICES = 50_000  # texts of admissible actions whose tokens are remembered
_KEPT_AFTER_RELEASE = 2  # finished conversations kept: the next ones begin with the same words


class _Conversation:
    """The tokens whose keys and values are held."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.cache = flat.Cache()

    def shared(self, tokens: Sequence[int]) -> int:
        """How many tokens at the start are the same."""
        return _shared(self.tokens, tokens)


class TransformersPolicy:
    """A policy over a model in memory (an `interfaces.Policy`).

    Args:
        model: Loaded with `attn_implementation=flat.NAME` (see `load`).
        tokenizer: Its tokenizer, with a chat template.
        name: For records.
        keep: Whether keys and values are kept between calls (False: everything is recomputed).

    Raises:
        ModelError: The chat template cannot be used, or the model computes something else when
            conversations are laid end to end (see `flat.verify`).
    """

    def __init__(
        self, model: PreTrainedModel, tokenizer: Any, name: str, *, keep: bool = True
    ) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._name = name
        self._keep = keep
        self._chat = TemplateChat(tokenizer)
        special = {*_end_ids(model), *tokenizer.all_special_ids}
        self._stops = frozenset(special - {self._chat.end_ids[-1]})
        flat.verify(model)
        self._live: dict[int, _Conversation] = {}
        self._released: OrderedDict[int, _Conversation] = OrderedDict()
        self._sequences: dict[str, tuple[int, ...]] = {}
        self.version = 0
        self.prefilled = 0
        """Prompt tokens computed since the start (cached ones are not)."""

    @property
    def chat(self) -> TemplateChat:
        """See `interfaces.Policy`."""
        return self._chat

    @property
    def name(self) -> str:
        """See `interfaces.Policy`."""
        return self._name

    @property
    def model(self) -> PreTrainedModel:
        """The network itself, for whoever trains it; see `weights_changed`."""
        return self._model

    @property
    def tokenizer(self) -> Any:
        """Its tokenizer, to be saved beside the weights."""
        return self._tokenizer

    @property
    def context_limit(self) -> int:
        """See `interfaces.Policy`."""
        return int(self._model.config.max_position_embeddings)

    @property
    def cache_bytes(self) -> int:
        """Memory held by keys and values."""
        held = [*self._live.values(), *self._released.values()]
        return sum(conversation.cache.bytes for conversation in held)

    def generate(self, requests: Sequence[Request]) -> list[Completion]:
        """See `interfaces.Policy`.

        Raises:
            ModelError: A prompt and its reply do not fit the model's context.
        """
        for request in requests:
            if len(request.token_ids) + request.max_tokens > self.context_limit:
                raise ModelError(
                    f"a prompt of {len(request.token_ids)} tokens and a reply of up to "
                    f"{request.max_tokens} exceed the context of {self.context_limit} tokens"
                )
        talks = self._prepare(requests)
        replies = [self._reply(request) for request in requests]
        pending = [list(r.token_ids[len(t.tokens) :]) for r, t in zip(requests, talks, strict=True)]
        for fed, reply in zip(pending, replies, strict=True):
            self.prefilled += len(fed)
            fed += reply.token_ids
        self._sample(talks, replies, pending)
        if not self._keep:
            self._live.clear()
        return [self._completion(q, r) for q, r in zip(requests, replies, strict=True)]

    def release(self, conversation: int) -> None:
        """See `interfaces.Policy`."""
        talk = self._live.pop(conversation, None)
        if talk is not None:
            self._released[conversation] = talk
            while len(self._released) > _KEPT_AFTER_RELEASE:
                self._released.popitem(last=False)

    def weights_changed(self) -> None:
        """Forget all keys and values, and count the version up."""
        self._live.clear()
        self._released.clear()
        self.version += 1

    def _sample(
        self, talks: list[_Conversation], replies: list[Reply], pending: list[list[int]]
    ) -> None:
        """Let all replies grow together until each is done."""
        while active := [n for n, reply in enumerate(replies) if not reply.done]:
            logits = flat.forward(self._model, [(talks[n].cache, pending[n]) for n in active])
            for row, n in enumerate(active):
                talks[n].tokens += pending[n]
                before = len(replies[n].token_ids)
                replies[n].take(logits[row])
                pending[n] = replies[n].token_ids[before:]

    def _prepare(self, requests: Sequence[Request]) -> list[_Conversation]:
        """For each request a conversation that holds only tokens its prompt begins with."""
        fresh = [r.token_ids[:-1] for r in requests if r.conversation not in self._live]
        first, last = (min(fresh), max(fresh)) if fresh else ((), ())  # what these share, all do
        common = first[: _shared(first, last)] if len(fresh) > 1 else ()
        talks = []
        for request in requests:
            talk = self._live.get(request.conversation) or self._begin(request, common)
            # The last token is computed anew in any case: its logits are needed.
            kept = talk.shared(request.token_ids[:-1])
            del talk.tokens[kept:]
            talk.cache.length = kept
            talks.append(talk)
        return talks

    def _begin(self, request: Request, common: Sequence[int]) -> _Conversation:
        """A new conversation, with what it shares with others; `common` is computed just once."""
        others = [*self._live.values(), *self._released.values()]
        talk = self._live[request.conversation] = _Conversation()
        prompt = request.token_ids[:-1]
        best = max(others, key=lambda other: other.shared(prompt), default=talk)
        if held := best.shared(prompt):
            talk.cache.copy_from(best.cache, held)
            talk.tokens = list(prompt[:held])
        if missing := list(common[held:]):
            flat.forward(self._model, [(talk.cache, missing)])
            talk.tokens += missing
            self.prefilled += len(missing)
        return talk

    def _reply(self, request: Request) -> Reply:
        return Reply(
            seed=request.seed,
            temperature=request.temperature,
            max_tokens=request.max_tokens,
            end=self._chat.end_ids[-1],
            stops=self._stops,
            choices=self._trie(request.choices) if request.choices else None,
        )

    def _trie(self, choices: Sequence[str]) -> Node:
        return trie(self._sequence(text) for text in choices)

    def _sequence(self, text: str) -> tuple[int, ...]:
        """The tokens of one choice, its end included."""
        if text not in self._sequences:
            if len(self._sequences) >= _KNOWN_CHOICES:
                self._sequences.clear()
            self._sequences[text] = (*self._chat.world(text)[1], *self._chat.end_ids)
        return self._sequences[text]

    def _completion(self, request: Request, reply: Reply) -> Completion:
        ids = tuple(reply.token_ids)
        if request.choices:
            text = next(one for one in request.choices if self._sequence(one) == ids)
        else:
            text = self._tokenizer.decode(ids[:-1] if reply.ended else ids)
        return Completion(
            text=text,
            token_ids=ids,
            logprobs=tuple(reply.logprobs),
            allowed=tuple(reply.allowed),
            ended=reply.ended,
            version=self.version,
        )


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens at the start of both are the same."""
    differ = (n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    return next(differ, min(len(one), len(other)))


def _end_ids(model: PreTrainedModel) -> frozenset[int]:
    """The ids at which the model's own generation settings stop."""
    named = model.generation_config.eos_token_id if model.generation_config else None
    if named is None:
        return frozenset()
    return frozenset(named if isinstance(named, list) else [named])


def load(
    folder: Path,
    *,
    name: str,
    dtype: DType = "auto",
    device: str = "auto",
    adapter: Path | None = None,
) -> TransformersPolicy:
    """Load a model folder.

    Args:
        folder: With `config.json`, safetensors and tokenizer files.
        name: For records.
        dtype: `auto`: float32 on a CPU, bfloat16 on a GPU.
        device: `auto`: the first CUDA device where there is one, else the CPU.
        adapter: A LoRA adapter, which becomes part of the weights.

    Raises:
        ModelError: It cannot be loaded or used.
    """
    flat.register()
    try:
        where = torch.device(_device(device))
        number = _number_type(where) if dtype == "auto" else getattr(torch, dtype)
        with no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModelForCausalLM.from_pretrained(
                folder, dtype=number, attn_implementation=flat.NAME
            )
            if adapter is not None:
                model = _with_adapter(model, adapter)
        model.to(where).eval()
    except (OSError, ValueError, RuntimeError, KeyError, ImportError) as error:
        raise ModelError(f"cannot load the model in {folder}: {error}") from error
    return TransformersPolicy(model, tokenizer, name)


def _with_adapter(model: PreTrainedModel, adapter: Path) -> PreTrainedModel:
    from peft import PeftModel  # a second that only adapters cost

    merged: PreTrainedModel = PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    return merged


def _device(asked: str) -> str:
    if asked != "auto":
        return asked
    return "cuda" if torch.cuda.is_available() else "cpu"


def _number_type(where: torch.device) -> torch.dtype:
    return torch.float32 if where.type == "cpu" else torch.bfloat16
