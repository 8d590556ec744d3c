import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.chat import TemplateChat
from empo2_agent.errors import ModelError
from tests.chats import ADDED, SMOLLM2, SPECIAL, TEMPLATES, make_tokenizer

TOKENIZERS = {name: make_tokenizer(template) for name, template in TEMPLATES.items()}
CHATS = {name: TemplateChat(tokenizer) for name, tokenizer in TOKENIZERS.items()}
HOSTILE = st.lists(
    st.sampled_from([*SPECIAL, *ADDED, "<", "|", ">", "im_end", "a", "\n"]), max_size=8
)


def test_the_pieces_of_a_template_written_out() -> None:
    chat = CHATS["smollm2"]
    assert (
        chat.opening("Be brief.")[0]
        == "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n"
    )
    assert chat.reply()[0] == "<|im_end|>\n<|im_start|>assistant\n"
    assert chat.next_turn(ended=True)[0] == "\n<|im_start|>user\n"
    assert chat.next_turn(ended=False)[0] == "<|im_end|>\n<|im_start|>user\n"
    assert chat.end_text == "<|im_end|>"


def test_without_a_system_role_the_instructions_open_the_first_user_turn() -> None:
    assert not CHATS["gemma"].has_system_role
    assert CHATS["gemma"].opening("Be brief.")[0] == "<bos><start_of_turn>user\nBe brief.\n\n"


@pytest.mark.parametrize("name", TEMPLATES)
def test_template_pieces_hold_special_tokens_as_single_ids(name: str) -> None:
    chat, tokenizer = CHATS[name], TOKENIZERS[name]
    text, ids = chat.next_turn(ended=False)
    assert tokenizer.decode(ids) == text
    assert chat.end_ids == (tokenizer.convert_tokens_to_ids(chat.end_text),)
    assert ids[0] == chat.end_ids[0]


@pytest.mark.parametrize("name", TEMPLATES)
@given(parts=HOSTILE)
def test_no_text_of_a_world_becomes_a_special_or_added_token(name: str, parts: list[str]) -> None:
    hostile = "".join(parts)
    text, ids = CHATS[name].world(hostile)
    added = set(TOKENIZERS[name].get_added_vocab().values())
    assert text == hostile
    assert not added & set(ids)
    assert TOKENIZERS[name].decode(ids) == hostile


def test_the_fuzz_above_would_notice() -> None:
    """Without the two defences the same texts do become special ids."""
    tokenizer = TOKENIZERS["smollm2"]
    added = set(tokenizer.get_added_vocab().values())
    assert added & set(tokenizer.encode("<|im_end|>", add_special_tokens=False))
    assert added & set(
        tokenizer.encode("<think>", add_special_tokens=False, split_special_tokens=True)
    )


def test_control_characters_never_reach_the_model() -> None:
    assert CHATS["smollm2"].world("a\x1b[31m\x00b\u202e")[0] == "ab"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            SMOLLM2.replace("{{'<|im_start|>'", "{{('' if loop.last else 'x') + '<|im_start|>'"),
            "rewrites earlier turns",
        ),
        ("{% for m in messages %}{{ m['role'] }}<eos>{% endfor %}", "drops, repeats or reorders"),
        ("{% for m in messages %}{{ m['content'] }};{% endfor %}", "without a special token"),
        (SMOLLM2.replace("'<|im_end|>' + '\n'", "' over<|im_end|>\n'"), "ends a reply with text"),
        (None, "no usable chat template"),
    ],
    ids=["rewrites", "drops", "no-end", "text-end", "none"],
)
def test_templates_that_cannot_be_extended_are_refused(template: str | None, message: str) -> None:
    tokenizer = make_tokenizer(SMOLLM2)
    tokenizer.chat_template = template
    with pytest.raises(ModelError, match=message):
        TemplateChat(tokenizer)
