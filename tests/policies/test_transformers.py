"""The policy on a tiny random model: every promise that does not need a trained one."""

import math
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel

from empo2_agent.errors import ModelError
from empo2_agent.policies.transformers import TransformersPolicy, load
from empo2_agent.transcript import Transcript
from empo2_agent.types import Completion, Request

CHOICES = ("go", "go to kitchen", "go to hallway", "open door to kitchen", "look")


@pytest.fixture(scope="module")
def policy(tiny_model_dir: Path) -> TransformersPolicy:
    return load(tiny_model_dir, name="tiny")


@pytest.fixture(scope="module")
def plain_model(tiny_model_dir: Path) -> PreTrainedModel:
    """The same weights with the attention of transformers itself, no cache and no packing."""
    model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        tiny_model_dir, attn_implementation="eager"
    )
    return model.eval()


def request(ids: tuple[int, ...], conversation: int, **overrides: object) -> Request:
    arguments: dict[str, object] = {
        "messages": (), "max_tokens": 6, "temperature": 1.0, "seed": conversation, "choices": None,
    }  # fmt: skip
    return Request(ids, conversation=conversation, **{**arguments, **overrides})  # type: ignore[arg-type] # overrides name the same arguments


def recomputed(
    model: PreTrainedModel, prompt: tuple[int, ...], reply: Completion, temperature: float
) -> list[float]:
    """Log-probabilities of a reply, restricted where it was, from one plain forward pass."""
    ids = torch.tensor([[*prompt, *reply.token_ids]])
    with torch.inference_mode():
        logits = model(input_ids=ids, use_cache=False).logits[0].double() / temperature
    found = []
    for at, (token, allowed) in enumerate(zip(reply.token_ids, reply.allowed, strict=True)):
        row = logits[len(prompt) + at - 1]
        rest = row if allowed is None else row[list(allowed)]
        found.append(float(row[token] - rest.logsumexp(0)))
    return found


def play_turns(
    policy: TransformersPolicy, turns: list[int], *, choices: bool
) -> list[list[tuple[tuple[int, ...], Completion]]]:
    """Conversations of different lengths at once; each ends after its number of turns."""
    scripts = [Transcript(policy.chat, f"Rules {'of the house ' * n}") for n in range(len(turns))]
    history: list[list[tuple[tuple[int, ...], Completion]]] = [[] for _ in turns]
    for turn in range(max(turns)):
        active = [n for n, limit in enumerate(turns) if turn < limit]
        for n in active:
            scripts[n].observe(f"Turn {turn}: " + "you see a door. " * (1 + (n * 7 + turn) % 5))
        wanted = [
            request(
                scripts[n].token_ids, n, seed=100 * n + turn, choices=CHOICES if choices else None
            )
            for n in active
        ]
        for n, want, reply in zip(active, wanted, policy.generate(wanted), strict=True):
            history[n].append((want.token_ids, reply))
            scripts[n].reply(reply)
        for n, limit in enumerate(turns):
            if turn + 1 == limit:
                policy.release(n)
    return history


@pytest.mark.parametrize("choices", [True, False])
def test_cached_generation_equals_uncached(
    tiny_model_dir: Path, policy: TransformersPolicy, choices: bool
) -> None:
    uncached = load(tiny_model_dir, name="tiny")
    uncached = TransformersPolicy(uncached._model, uncached._tokenizer, "tiny", keep=False)
    turns = [4, 1, 3, 2]
    kept = play_turns(policy, turns, choices=choices)
    anew = play_turns(uncached, turns, choices=choices)
    for one, other in zip(kept, anew, strict=True):
        for (prompt, reply), (same_prompt, same_reply) in zip(one, other, strict=True):
            assert prompt == same_prompt
            assert reply.token_ids == same_reply.token_ids
            assert reply.logprobs == pytest.approx(same_reply.logprobs, abs=1e-4)


@pytest.mark.parametrize("choices", [True, False])
def test_recomputed_logprobs_equal_the_sampled_ones(
    policy: TransformersPolicy, plain_model: PreTrainedModel, choices: bool
) -> None:
    for conversation in play_turns(policy, [3, 2], choices=choices):
        for prompt, reply in conversation:
            assert reply.logprobs == pytest.approx(
                recomputed(plain_model, prompt, reply, 1.0), abs=1e-5
            )


def test_constrained_sampling_is_the_product_of_renormalised_token_probabilities(
    policy: TransformersPolicy, plain_model: PreTrainedModel
) -> None:
    """Brute force: every choice's tokens, each renormalised over what may stand there."""
    temperature = 0.7
    transcript = Transcript(policy.chat, "Rules")
    transcript.observe("A door.")
    prompt = transcript.token_ids
    sequences = {text: (*policy.chat.world(text)[1], *policy.chat.end_ids) for text in CHOICES}
    exact = {}
    for text, sequence in sequences.items():
        total = 0.0
        for at in range(len(sequence)):
            with torch.inference_mode():
                row = (
                    plain_model(torch.tensor([[*prompt, *sequence[:at]]])).logits[0, -1].double()
                    / temperature
                )
            allowed = sorted(
                {s[at] for s in sequences.values() if len(s) > at and s[:at] == sequence[:at]}
            )
            total += float(row[sequence[at]] - row[allowed].logsumexp(0))
        exact[text] = total
    assert sum(math.exp(value) for value in exact.values()) == pytest.approx(1.0, abs=1e-9)
    counts = dict.fromkeys(CHOICES, 0)
    samples = 600
    for start in range(0, samples, 100):
        batch = [
            request(prompt, n, seed=n, temperature=temperature, choices=CHOICES)
            for n in range(start, start + 100)
        ]
        for reply in policy.generate(batch):
            counts[reply.text] += 1
            assert sum(reply.logprobs) == pytest.approx(exact[reply.text], abs=1e-5)
        for one in batch:
            policy.release(one.conversation)
    chi_square = sum(
        (counts[t] - samples * math.exp(exact[t])) ** 2 / (samples * math.exp(exact[t]))
        for t in CHOICES
    )
    assert chi_square < 18.47  # 0.999 quantile for 4 degrees of freedom


def test_one_choice_and_choices_that_begin_alike(policy: TransformersPolicy) -> None:
    prompt = policy.chat.opening("Rules")[1]
    only, prefix = policy.generate(
        [request(prompt, 1, choices=("look",)), request(prompt, 2, choices=("go", "go to kitchen"))]
    )
    assert (only.text, set(only.logprobs), only.ended) == ("look", {0.0}, True)
    assert prefix.text in ("go", "go to kitchen")
    assert prefix.token_ids[-1:] == policy.chat.end_ids


def test_a_request_is_answered_alike_alone_and_in_company(policy: TransformersPolicy) -> None:
    prompts = [policy.chat.opening("Rules " * n)[1] for n in (1, 9, 4)]
    together = policy.generate([request(p, 10 + n, seed=n) for n, p in enumerate(prompts)])
    alone = [policy.generate([request(p, 20 + n, seed=n)])[0] for n, p in enumerate(prompts)]
    assert [r.token_ids for r in together] == [r.token_ids for r in alone]


def test_what_conversations_share_is_computed_once(tiny_model_dir: Path) -> None:
    policy = load(tiny_model_dir, name="tiny")
    prompt = policy.chat.opening("The same long rules for all. " * 20)[1]
    ends = [policy.chat.world(f"House {n}.")[1] for n in range(4)]
    policy.generate([request(prompt + end, n, choices=CHOICES) for n, end in enumerate(ends)])
    assert policy.prefilled < len(prompt) + 4 * max(map(len, ends)) + 4
    for n in range(4):
        policy.release(n)
    before = policy.prefilled
    policy.generate([request(prompt + ends[0], 9, choices=CHOICES)])
    assert policy.prefilled - before < 20


def test_new_weights_forget_what_was_computed_with_the_old_ones(tiny_model_dir: Path) -> None:
    policy = load(tiny_model_dir, name="tiny")
    prompt = policy.chat.opening("Rules")[1]
    first = policy.generate([request(prompt, 1)])[0]
    with torch.no_grad():
        for parameter in policy._model.parameters():
            parameter.mul_(1.5)
    policy.weights_changed()
    assert policy.cache_bytes == 0
    second = policy.generate([request(prompt, 1)])[0]
    assert (first.version, second.version) == (0, 1)
    assert first.logprobs != second.logprobs


def test_too_long_a_prompt_is_refused_with_its_length(policy: TransformersPolicy) -> None:
    with pytest.raises(ModelError, match=rf"exceed the context of {policy.context_limit} tokens"):
        policy.generate([request((5,) * policy.context_limit, 1)])


def test_greedy_takes_the_likeliest_token(
    policy: TransformersPolicy, plain_model: PreTrainedModel
) -> None:
    prompt = policy.chat.opening("Rules")[1]
    reply = policy.generate([request(prompt, 77, temperature=0.0, max_tokens=1)])[0]
    with torch.inference_mode():
        logits = plain_model(torch.tensor([prompt])).logits[0, -1]
    assert reply.token_ids == (int(logits.argmax()),)
    assert reply.logprobs == (0.0,)


def test_a_free_reply_never_holds_a_special_token_but_its_end(policy: TransformersPolicy) -> None:
    """A reply that begins another turn is over; 600 tokens at random would hold many."""
    prompt = policy.chat.opening("Rules")[1]
    requests = [request(prompt, n, seed=n, temperature=50.0, max_tokens=40) for n in range(15)]
    replies = policy.generate(requests)
    special = set(policy._tokenizer.all_special_ids)
    for reply in replies:
        inner = reply.token_ids[:-1] if reply.ended else reply.token_ids
        assert not special & set(inner)
        assert reply.ended == (reply.token_ids[-1:] == policy.chat.end_ids)
    assert any(len(reply.token_ids) < 40 and not reply.ended for reply in replies)
