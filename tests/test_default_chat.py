"""The default model's own tokenizer and template through the chat format and the ledger."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from empo2_agent.chat import TemplateChat, render
from empo2_agent.transcript import Transcript, text, tokens, without_tips
from empo2_agent.types import Completion

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def tokenizer(default_model_dir: Path) -> PreTrainedTokenizerBase:
    found: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(default_model_dir)
    return found


@pytest.fixture(scope="module")
def chat(tokenizer: PreTrainedTokenizerBase) -> TemplateChat:
    return TemplateChat(tokenizer)


def test_no_token_of_the_tokenizer_can_be_forged(
    tokenizer: PreTrainedTokenizerBase, chat: TemplateChat
) -> None:
    special = {*tokenizer.all_special_ids, *tokenizer.get_added_vocab().values()}
    names = tokenizer.convert_ids_to_tokens(sorted(special))
    assert len(names) > 10
    for name in [*names, "".join(names), "\n".join(names), *(n[:-1] + n for n in names)]:
        shown, ids = chat.world(name)
        assert not special & set(ids)
        assert tokenizer.decode(ids) == shown == name
        transcript = Transcript(chat, name)
        transcript.observe(name, name)
        marks = [i for i in transcript.token_ids if i in special]
        clean = Transcript(chat, "rules")
        clean.observe("o", "t")
        assert marks == [i for i in clean.token_ids if i in special]


WORDS = st.text("ab <|>é\n0123{}%", min_size=1, max_size=20).map(str.strip).filter(bool)


@given(st.lists(st.tuples(WORDS, st.just("") | WORDS, WORDS), min_size=1, max_size=3))
def test_the_ledger_of_a_conversation_is_the_templates_own_rendering(
    tokenizer: PreTrainedTokenizerBase, chat: TemplateChat, turns: list[tuple[str, str, str]]
) -> None:
    transcript, plain = Transcript(chat, "Rules."), Transcript(chat, "Rules.")
    prompts = []
    for observation, tips, reply in turns:
        ids = (*chat.world(reply)[1], *chat.end_ids)
        said = Completion(reply, ids, (0.0,) * len(ids), (None,) * len(ids), ended=True)
        transcript.observe(observation, tips)
        plain.observe(observation)
        prompts.append(transcript.token_ids)
        transcript.reply(said)
        plain.reply(said)
    for earlier in prompts:
        assert transcript.token_ids[: len(earlier)] == earlier
    assert without_tips(transcript.segments) == plain.segments
    transcript.observe("last")
    assert text(transcript.segments) == render(tokenizer, transcript.messages, reply=True)
    assert tokenizer.decode(tokens(transcript.segments)) == text(transcript.segments)
