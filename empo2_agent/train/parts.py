"""What a training run is told, and what it trains with. No behaviour."""

from dataclasses import dataclass

from empo2_agent.adapt import Key
from empo2_agent.memory.chroma import ChromaTips
from empo2_agent.memory.novelty import Novelty
from empo2_agent.policies.transformers import TransformersPolicy
from empo2_agent.runs import Run
from empo2_agent.stage import Stage
from empo2_agent.train.learner import Learner
from empo2_agent.train.meter import Meter
from empo2_agent.types import Task


@dataclass(frozen=True, slots=True)
class Plan:
    """The shape of a training run. See `config.TrainSettings` and its neighbours."""

    tasks: tuple[Task, ...]
    """One for each variation that is trained on."""
    steps: int
    tasks_per_step: int
    group_size: int
    redraw: int
    seed: int
    max_score: float
    tips_share: float
    off_policy_share: float
    mode_by_group: bool
    write_tips: bool
    key: Key
    intrinsic_coefficient: float
    scale_by_std: bool
    step_weight: float
    discount: float
    learns: bool
    """False: tips are all that changes (Reflexion)."""
    checkpoint_every: int
    keep_last: int
    roll_back: int
    """How often a collapsed run goes back to its best checkpoint; 0: it is only warned."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What a run trains with."""

    stage: Stage
    policy: TransformersPolicy
    learner: Learner
    memory: ChromaTips | None
    novelty: Novelty
    run: Run
    meter: Meter
