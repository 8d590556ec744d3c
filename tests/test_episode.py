import pytest

from empo2_agent.episode import play, request_seed
from empo2_agent.needs import (
    Act,
    Admissible,
    Answer,
    BrokenWorldError,
    EpisodeRun,
    InterruptedEpisodeError,
    Need,
    Recall,
    Reset,
    Rules,
)
from empo2_agent.testing import ByteChat, ScriptedPolicy
from empo2_agent.transcript import tokens
from empo2_agent.types import Episode, Recalled, Request, Status, StepResult, Task, Tip

TASK = Task("house", "lamp", 3)
RULES = Rules(
    max_steps=4,
    max_prompt_tokens=2000,
    max_reply_tokens=40,
    max_score=1.0,
    style="free",
    temperature=0.7,
)


def tip(name: str) -> Recalled:
    made = Tip(
        id=name, text=f"look in {name}", key="k", action="wait", score=0.5, max_score=1.0,
        environment="house", task="lamp", variation=3, run="r", episode=0, step=0, model="m",
        created="2026-01-01T00:00:00+00:00",
    )  # fmt: skip
    return Recalled(made, 0.9)


class House:
    """A world as a dictionary: what each action leads to."""

    def __init__(
        self, results: dict[str, StepResult], admissible: tuple[str, ...] | None = None
    ) -> None:
        self.results = results
        self.admissible = admissible
        self.needs: list[Need] = []
        self.tips: list[list[Recalled]] = []

    def answer(self, need: Need, policy: ScriptedPolicy) -> Answer:
        self.needs.append(need)
        if isinstance(need, Reset):
            return Answer(StepResult("start", state="S0"), 1.0)
        if isinstance(need, Act):
            return Answer(self.results.get(need.action, StepResult("nothing", state="S")), 2.0)
        if isinstance(need, Admissible):
            return Answer(self.admissible, 4.0)
        if isinstance(need, Recall):
            return Answer(self.tips.pop(0) if self.tips else [], 8.0)
        return Answer(policy.generate([need])[0], 16.0)


def drive(run: EpisodeRun, house: House, policy: ScriptedPolicy) -> Episode:
    need = next(run)
    while True:
        try:
            need = run.send(house.answer(need, policy))
        except StopIteration as stop:
            episode: Episode = stop.value
            return episode


def start(rules: Rules = RULES, *, memory: bool = False, seed: int = 5) -> EpisodeRun:
    return play(
        TASK, rules, chat=ByteChat(), instructions="Play.", memory=memory, seed=seed, conversation=7
    )


def rules(**changes: object) -> Rules:
    return Rules(**{**{name: getattr(RULES, name) for name in RULES.__slots__}, **changes})


WON = {"on": StepResult("light", reward=1.0, status=Status.SUCCESS, state="S1")}


def test_an_episode_to_its_end() -> None:
    policy, house = ScriptedPolicy(["wait", "on"]), House(WON)
    episode = drive(start(), house, policy)
    assert (episode.status, episode.score, episode.success) == (Status.SUCCESS, 1.0, True)
    assert [(s.observation, s.action, s.reward, s.state) for s in episode.steps] == [
        ("start", "wait", 0.0, "S0"),
        ("nothing", "on", 1.0, "S"),
    ]
    assert (episode.final_observation, episode.final_state) == ("light", "S1")
    assert [s.model_ms for s in episode.steps] == [16.0, 16.0]
    assert [s.environment_ms for s in episode.steps] == [2.0, 2.0]


def test_the_recorded_tokens_are_those_that_were_asked_with() -> None:
    policy = ScriptedPolicy(["wait", "on"])
    house = House(WON)
    house.tips = [[tip("a")], [tip("b")]]
    episode = drive(start(memory=True), house, policy)
    ledger = tokens(episode.segments)
    for step, request in zip(episode.steps, policy.requests, strict=True):
        assert ledger[: step.prompt_tokens] == request.token_ids
    assert b"look in a" in bytes(i for i in policy.requests[0].token_ids if i < 256)
    assert [[t.id for t in s.tips] for s in episode.steps] == [["a"], ["b"]]


def test_a_recall_says_what_was_shown_and_what_it_cost() -> None:
    house = House({})
    house.tips = [[tip("a"), tip("b")]]
    episode = drive(start(rules(max_steps=2), memory=True), house, ScriptedPolicy(["x", "y"]))
    first, second = [need for need in house.needs if isinstance(need, Recall)]
    assert (first.key, first.shown, first.tokens_spent) == ("S0", (), 0)
    assert (second.key, second.shown) == ("S", ("look in a", "look in b"))
    block = [s for s in episode.segments if s.kind == "tip"]
    assert second.tokens_spent == len(block[0].token_ids)
    for name in "ab":
        assert f"look in {name}" in block[0].text


def test_without_memory_nothing_is_recalled() -> None:
    house = House(WON)
    episode = drive(start(), house, ScriptedPolicy(["on"]))
    assert not any(isinstance(need, Recall) for need in house.needs)
    assert all(segment.kind != "tip" for segment in episode.segments)


def test_limits() -> None:
    house = House({})
    steps = drive(start(), house, ScriptedPolicy(["a", "b", "c", "d"]))
    assert (steps.status, len(steps.steps)) == (Status.STEP_LIMIT, 4)
    long = drive(start(rules(max_prompt_tokens=40)), house, ScriptedPolicy(["a"] * 4))
    assert long.status is Status.TOKEN_LIMIT
    assert 0 < len(long.steps) < 4
    assert all(step.prompt_tokens <= 40 for step in long.steps)
    timed = drive(start(rules(seconds=-1.0)), house, ScriptedPolicy([]))
    assert (timed.status, timed.steps) == (Status.TIME_LIMIT, ())
    world = House({"a": StepResult("late", status=Status.TICK_LIMIT)})
    assert drive(start(), world, ScriptedPolicy(["a"])).status is Status.TICK_LIMIT


def test_constrained_requests_carry_the_admissible_actions_once_each() -> None:
    policy = ScriptedPolicy(["on"])
    house = House(WON, admissible=("off", "on", "off"))
    episode = drive(start(rules(style="constrained")), house, policy)
    assert policy.requests[0].choices == ("off", "on")
    assert episode.steps[0].environment_ms == 6.0


@pytest.mark.parametrize("admissible", [None, ()])
def test_where_nothing_can_be_listed_the_reply_is_free(admissible: tuple[str, ...] | None) -> None:
    policy = ScriptedPolicy(["on"])
    drive(start(rules(style="constrained")), House(WON, admissible), policy)
    assert policy.requests[0].choices is None


def test_correction_executes_and_shows_the_nearest_action_and_keeps_the_sampled_one() -> None:
    policy = ScriptedPolicy(["trun on", "off"])
    house = House({}, admissible=("off", "turn on"))
    episode = drive(start(rules(style="correct", max_steps=2)), house, policy)
    first, second = episode.steps
    assert (first.action, first.reply) == ("turn on", "trun on")
    assert first.sampled is not None
    assert first.sampled.text.startswith("trun on")
    assert (second.action, second.sampled) == ("off", None)
    assert b"trun on" not in bytes(i for i in policy.requests[1].token_ids if i < 256)
    assert [s.text for s in episode.segments if s.kind == "action"] == ["off<|end|>"]


def test_every_step_has_a_seed_of_its_own() -> None:
    policy = ScriptedPolicy(["a", "b", "c", "d"])
    drive(start(), House({}), policy)
    seeds = [request.seed for request in policy.requests]
    assert seeds == [request_seed(5, step) for step in range(4)]
    assert len(set(seeds)) == 4


def test_the_tip_is_asked_for_after_the_end_and_is_no_part_of_the_ledger() -> None:
    policy = ScriptedPolicy(["on", "The lamp\nis  in the cellar.\x1b[0m"])
    episode = drive(start(rules(max_tip_tokens=50)), House(WON), policy)
    assert episode.tip == "The lamp is in the cellar."
    asked = policy.requests[1]
    assert "The score was 1 out of 1." in asked.messages[-1].content
    assert "light" in asked.messages[-1].content
    assert asked.max_tokens == 50
    ledger = tokens(episode.segments)
    assert asked.token_ids[: len(ledger)] == ledger
    assert "episode is over" not in "".join(segment.text for segment in episode.segments)


def test_a_tip_that_was_shown_is_not_written_back() -> None:
    def ending(said: str) -> str:
        house = House(WON)
        house.tips = [[tip("the cellar")]]
        policy = ScriptedPolicy(["on", said])
        return drive(start(rules(max_tip_tokens=90), memory=True), house, policy).tip

    assert ending("Look  in the CELLAR!") == ""
    assert (
        ending("Look in the attic, not in the cellar.") == "Look in the attic, not in the cellar."
    )


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BrokenWorldError("the world went away"), Status.ENV_ERROR, "the world went away"),
        (InterruptedEpisodeError("stop"), Status.INTERRUPTED, ""),
    ],
)
def test_what_ends_an_episode_from_outside(error: Exception, status: Status, message: str) -> None:
    policy, house, run = ScriptedPolicy(["wait"]), House({}), start(rules(max_tip_tokens=50))
    need = next(run)
    for _ in range(3):  # reset, reply, action: one whole step
        need = run.send(house.answer(need, policy))
    with pytest.raises(StopIteration) as stop:
        run.throw(error)
    episode: Episode = stop.value.value
    assert (episode.status, episode.error, len(episode.steps)) == (status, message, 1)
    assert (episode.tip, episode.usable) == ("", False)


def test_stopped_while_writing_its_tip_an_episode_is_not_whole() -> None:
    """It is played again, so that its tip is not lost."""
    policy, house, run = ScriptedPolicy(["on"]), House(WON), start(rules(max_tip_tokens=50))
    need = next(run)
    for _ in range(3):
        need = run.send(house.answer(need, policy))
    assert isinstance(need, Request)
    with pytest.raises(StopIteration) as stop:
        run.throw(InterruptedEpisodeError("stop"))
    episode: Episode = stop.value.value
    assert (episode.status, episode.usable, episode.tip) == (Status.INTERRUPTED, False, "")


def test_tips_that_do_not_fit_are_left_out_and_never_end_an_episode() -> None:
    house = House(WON)
    house.tips = [[tip("a")]]
    policy = ScriptedPolicy(["on"])
    episode = drive(start(rules(max_prompt_tokens=40), memory=True), house, policy)
    assert episode.status is Status.SUCCESS
    assert episode.steps[0].tips == ()
    assert all(segment.kind != "tip" for segment in episode.segments)
    assert len(policy.requests[0].token_ids) <= 40


def test_a_wrong_kind_of_answer_is_a_bug_that_is_named() -> None:
    run = start()
    next(run)
    with pytest.raises(TypeError, match="Reset was answered with NoneType"):
        run.send(Answer(None))
