from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.chat import TemplateChat, render
from empo2_agent.transcript import Transcript, text, tokens, without_tips
from empo2_agent.types import Completion, Message
from tests.chats import SPECIAL, TEMPLATES, make_tokenizer

TOKENIZERS = {name: make_tokenizer(template) for name, template in TEMPLATES.items()}
CHATS = {name: TemplateChat(tokenizer) for name, tokenizer in TOKENIZERS.items()}

WORDS = st.text(st.sampled_from("ab <|>é\n{}%"), min_size=1, max_size=12) | st.sampled_from(SPECIAL)
CONTENT = WORDS.map(str.strip).filter(bool)


@dataclass(frozen=True)
class Turn:
    observation: str
    tips: str
    reply: str
    ended: bool


TURNS = st.lists(
    st.builds(Turn, CONTENT, st.just("") | CONTENT, CONTENT, st.booleans()), min_size=1, max_size=4
)


def completion(chat: TemplateChat, reply: str, ended: bool) -> Completion:
    ids = chat.world(reply)[1] + (chat.end_ids if ended else ())
    return Completion(reply, ids, (-0.5,) * len(ids), (None,) * len(ids), ended)


def prompts(
    chat: TemplateChat, turns: list[Turn], *, tips: bool
) -> tuple[Transcript, list[tuple[int, ...]]]:
    """The transcript of all turns, and the prompt of each."""
    transcript, seen = Transcript(chat, "Be\nbrief."), []
    for turn in turns:
        transcript.observe(turn.observation, turn.tips if tips else "")
        seen.append(transcript.token_ids)
        transcript.reply(completion(chat, turn.reply, turn.ended))
    return transcript, seen


@pytest.mark.parametrize("name", TEMPLATES)
@given(turns=TURNS)
def test_without_tips_is_the_ledger_minus_its_tip_segments(name: str, turns: list[Turn]) -> None:
    with_tips, _ = prompts(CHATS[name], turns, tips=True)
    plain, _ = prompts(CHATS[name], turns, tips=False)
    assert without_tips(with_tips.segments) == plain.segments
    actions = [s for s in with_tips.segments if s.kind == "action"]
    assert actions == [s for s in plain.segments if s.kind == "action"]
    assert len(actions) == len(turns)


@pytest.mark.parametrize("name", TEMPLATES)
@given(turns=TURNS)
def test_each_prompt_is_a_prefix_of_the_next(name: str, turns: list[Turn]) -> None:
    transcript, seen = prompts(CHATS[name], turns, tips=True)
    for shorter, longer in zip(seen, [*seen[1:], transcript.token_ids], strict=True):
        assert longer[: len(shorter)] == shorter
        assert len(longer) > len(shorter)
    assert tokens(transcript.segments) == transcript.token_ids


@pytest.mark.parametrize("name", TEMPLATES)
@pytest.mark.parametrize("tips", [True, False])
@given(turns=TURNS)
def test_segments_concatenate_to_the_templates_own_rendering(
    name: str, tips: bool, turns: list[Turn]
) -> None:
    chat, tokenizer = CHATS[name], TOKENIZERS[name]
    transcript, _ = prompts(chat, turns, tips=tips)
    transcript.observe("last")
    messages = list(transcript.messages)
    if not chat.has_system_role:
        first = Message("user", f"{messages[0].content}\n\n{messages[1].content}")
        messages = [first, *messages[2:]]
    rendered = render(tokenizer, messages, reply=True)
    assert text(transcript.segments) == rendered
    assert tokenizer.decode(transcript.token_ids) == rendered


def test_one_conversation_written_out() -> None:
    chat = CHATS["smollm2"]
    transcript = Transcript(chat, "Play.")
    transcript.observe("A door.", "Open it.")
    transcript.reply(completion(chat, "open door", ended=True))
    transcript.observe("Done.")
    assert [(s.kind, s.text) for s in transcript.segments] == [
        ("prompt", "<|im_start|>system\nPlay.<|im_end|>\n<|im_start|>user\n"),
        ("prompt", "A door."),
        ("tip", "\n\nOpen it."),
        ("prompt", "<|im_end|>\n<|im_start|>assistant\n"),
        ("action", "open door<|im_end|>"),
        ("prompt", "\n<|im_start|>user\n"),
        ("prompt", "Done."),
        ("prompt", "<|im_end|>\n<|im_start|>assistant\n"),
    ]


def test_a_corrected_reply_shows_what_was_executed_and_keeps_what_was_sampled() -> None:
    chat = CHATS["smollm2"]
    transcript = Transcript(chat, "Play.")
    transcript.observe("A door.")
    sampled = transcript.replace_reply("open door", completion(chat, "opn dor", ended=True))
    assert sampled.text == "opn dor<|im_end|>"
    assert all(segment.kind != "action" for segment in transcript.segments)
    assert text(transcript.segments).endswith("assistant\nopen door<|im_end|>\n<|im_start|>user\n")


def test_a_fork_leaves_the_ledger_alone() -> None:
    transcript = Transcript(CHATS["llama3"], "Play.")
    before = transcript.segments
    transcript.fork().observe("elsewhere")
    assert transcript.segments == before


def test_an_observation_of_nothing_still_is_a_turn() -> None:
    transcript = Transcript(CHATS["llama3"], "Play.")
    transcript.observe(" \n")
    assert "(nothing)" in text(transcript.segments)
