import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.runs import episode_from_json, episode_to_json, tip_from_json, tip_to_json
from empo2_agent.runs.serialise import extra_of
from empo2_agent.types import Episode, Segment, ShownTip, Status, Step, Task, Tip
from tests.runs.samples import make_episode, make_tip

TEXT = st.text(st.characters(codec=None), max_size=20)  # lone surrogates, controls and all
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
IDS = st.lists(st.integers(0, 200_000), max_size=4).map(tuple)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    ids = draw(IDS)
    n = len(ids)
    return Segment(
        draw(st.sampled_from(["prompt", "tip", "action"])),
        draw(TEXT),
        ids,
        draw(st.just(()) | st.lists(FLOAT, min_size=n, max_size=n).map(tuple)),
        draw(st.just(()) | st.lists(st.none() | IDS, min_size=n, max_size=n).map(tuple)),
    )


TASKS = st.builds(Task, TEXT, TEXT, st.integers(0), TEXT)
STEPS = st.builds(
    Step,
    observation=TEXT,
    prompt_tokens=st.integers(0),
    tips=st.lists(st.builds(ShownTip, TEXT, FLOAT, FLOAT), max_size=2).map(tuple),
    action=TEXT,
    reply=TEXT,
    logprob=FLOAT,
    reward=FLOAT,
    state=TEXT,
    version=st.integers(0),
    environment_ms=FLOAT,
    retrieval_ms=FLOAT,
    model_ms=FLOAT,
)
EPISODES = st.builds(
    Episode,
    task=TASKS,
    seed=st.integers(0),
    memory=st.booleans(),
    status=st.sampled_from(Status),
    segments=st.lists(segments(), max_size=3).map(tuple),
    steps=st.lists(STEPS.filter(lambda step: abs(step.reward) < 1e9), max_size=3).map(tuple),
    final_observation=TEXT,
    final_state=TEXT,
    tip=TEXT,
    error=TEXT,
    seconds=FLOAT,
)


@given(EPISODES, st.dictionaries(st.sampled_from(["trial", "arm"]), st.integers()))
def test_an_episode_survives_the_trip_through_text(
    episode: Episode, extra: dict[str, object]
) -> None:
    line = json.dumps(episode_to_json(episode, extra), allow_nan=False)
    assert "\n" not in line
    document = json.loads(line)
    again = episode_from_json(document)
    assert again == episode
    assert repr(again) == repr(episode)  # also the sign of zero and the types: 1 is not 1.0
    assert extra_of(document) == extra


@given(st.builds(Tip, *[TEXT] * 4, FLOAT, FLOAT, TEXT, TEXT, st.integers(), TEXT,
                 st.integers(), st.integers(), TEXT, TEXT))  # fmt: skip
def test_a_tip_survives_the_trip_through_text(tip: Tip) -> None:
    assert tip_from_json(json.loads(json.dumps(tip_to_json(tip)))) == tip


def test_the_line_says_what_readers_need() -> None:
    document = json.loads(json.dumps(episode_to_json(make_episode(), {"trial": 3})))
    assert document["trial"] == 3
    assert document["task"]["id"] == "toy/red-lamp/2"
    assert (document["status"], document["score"], document["success"]) == ("success", 1.0, True)
    assert document["steps"][1]["tips"] == [{"id": "tip-1", "similarity": 0.75, "score": 1.0}]


def test_extra_may_not_hide_a_field() -> None:
    with pytest.raises(ValueError, match="score"):
        episode_to_json(make_episode(), {"score": 3})


def test_prompt_tokens_are_a_reference_into_the_ledger() -> None:
    document = json.loads(json.dumps(episode_to_json(make_episode())))
    ledger = [token for segment in document["segments"] for token in segment["token_ids"]]
    assert ledger[: document["steps"][1]["prompt_tokens"]] == [1, 2, 3, 10, 4, 7, 8]
    assert make_tip().id == document["steps"][1]["tips"][0]["id"]
