"""Writing checkpoints of a run, and going back to them. `checkpoints` knows the folders.

One rule: what a checkpoint brings back is all that the next step depends on.
"""

from statistics import fmean

from safetensors import SafetensorError

from empo2_agent.errors import ModelError
from empo2_agent.train import checkpoints
from empo2_agent.train.parts import Parts, Plan
from empo2_agent.train.state import Position, load_state, save_state


def save(plan: Plan, parts: Parts, position: Position) -> None:
    """Write a checkpoint, and remove those that are no longer kept.

    Raises:
        RunFolderError: The disk is full or not writable; earlier checkpoints are untouched.
    """
    if position.window:
        mean = fmean(position.window)
        if position.best_score is None or mean > position.best_score:
            position.best_step, position.best_score = position.step, mean
    position.window.clear()
    position.lines = parts.run.line_counts()
    position.skipped_in_a_row = parts.learner.skipped_in_a_row
    with checkpoints.writing(parts.run.path, position.step) as folder:
        parts.learner.weights.save(folder, parts.policy.tokenizer)
        tips = parts.memory.tips() if parts.memory is not None else []
        state = folder / checkpoints.STATE
        save_state(state, position, parts.learner.state(), tips, parts.novelty)
    checkpoints.prune(parts.run.path, keep_last=plan.keep_last, best=position.best_step)


def restore(parts: Parts, step: int) -> Position:
    """Go back to a checkpoint of this run; `parts.memory` must be empty.

    Raises:
        ModelError: The checkpoint is damaged.
    """
    folder = checkpoints.folder_of(parts.run.path, step)
    position, learner, tips = load_state(folder / checkpoints.STATE, parts.novelty)
    try:
        parts.learner.weights.load(folder)
        parts.learner.restore(learner)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"the checkpoint {folder} is damaged: {error!r}.") from error
    parts.learner.skipped_in_a_row = position.skipped_in_a_row
    parts.policy.weights_changed()
    parts.policy.version = position.version
    if parts.memory is not None:
        parts.memory.add(tips)
    return position


def roll_back(parts: Parts, position: Position, step: int) -> None:
    """Take weights, optimizer, tips and visits from a checkpoint; steps and versions count on.

    So the steps that follow are drawn anew, and no version names two sets of weights.

    Raises:
        ModelError: The checkpoint is damaged.
    """
    version = parts.policy.version + 1
    if parts.memory is not None:
        parts.memory.remove([tip.id for tip in parts.memory.tips()])
    restore(parts, step)
    parts.policy.version = position.version = version
    position.rolled_back += 1
    position.window.clear()
