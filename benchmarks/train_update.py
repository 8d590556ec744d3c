"""One update on the same sequences: this learner, or a plain forward and backward pass.

The plain side pads the sequences to one batch, uses the attention of transformers and has logits
for every token. A third side does the same in passes as small as ours. Each is measured in a process
of its own, for the sake of its peak memory. Type: python -m benchmarks.train_update
"""

from collections.abc import Sequence
from statistics import median
from typing import Literal, NamedTuple

from benchmarks.fresh import in_fresh_process, peak_bytes, resident_bytes
from benchmarks.harness import write_result
from benchmarks.recorded import record, samples
from benchmarks.updates import (
    BUDGET,
    RANK,
    Timed,
    new_learner,
    new_optimizer,
    our_update,
    plain_update,
)
from empo2_agent.train.samples import Sample

Side = Literal["ours", "plain", "plain_in_passes"]
SIDES: tuple[Side, ...] = ("ours", "plain", "plain_in_passes")
EPISODES, STEPS, ROUNDS, BAR, MEMORY_BAR = 4, 8, 3, 1.5, 0.5


class Measured(NamedTuple):
    """One update in a process of its own."""

    seconds: float
    tokens: int
    loss: float
    peak_bytes: int
    """Above what was resident when the model had been loaded."""


def measure(side: Side, group: Sequence[Sample]) -> Measured:
    """One update, after one on a single sequence that warms up; called in a fresh process."""
    _, learner = new_learner(lora_rank=RANK)
    optimizer = new_optimizer(learner.weights)

    def update(rows: Sequence[Sample]) -> Timed:
        if side == "ours":
            return our_update(learner, rows)
        budget = None if side == "plain" else BUDGET
        return plain_update(
            learner.weights, optimizer, rows, tokens_per_batch=budget, full_logits=True
        )

    loaded = resident_bytes()
    update(group[:1])
    timed = update(group)
    return Measured(timed.seconds, timed.tokens, timed.loss, peak_bytes() - loaded)


def recorded() -> list[Sample]:
    """The sequences; called in a process of its own, so that this one stays small."""
    policy, _ = new_learner(lora_rank=RANK)
    return samples(record(policy, EPISODES, STEPS))


def main() -> None:
    """Measure all sides in turn."""
    group = in_fresh_process(recorded)
    found: dict[Side, list[Measured]] = {side: [] for side in SIDES}
    for _ in range(ROUNDS):
        for side in SIDES:
            found[side].append(in_fresh_process(measure, side, group))
    ours, plain, passes = (found[side] for side in SIDES)
    assert abs(ours[0].loss - plain[0].loss) < 1e-3, "both sides compute the same loss"
    ratio = _ratio(plain, ours)
    memory = _peak(ours) / _peak(plain)
    lengths = [len(sample.update.token_ids) for sample in group]
    write_result(
        "train_update",
        ours={**_summary(ours), "peak_share": memory, "peak_share_bar": MEMORY_BAR},
        theirs={
            **_summary(plain),
            "in_passes": {
                **_summary(passes),
                "ratio": _ratio(passes, ours),
                "peak_share": _peak(ours) / _peak(passes),
            },
        },
        ratio=ratio,
        bar=BAR,
        met=ratio >= BAR and memory <= MEMORY_BAR,
        note=f"{EPISODES} episodes of {STEPS} steps, {min(lengths)} to {max(lengths)} tokens, LoRA, "
        "float32; theirs: all in one padded batch; in_passes: in batches of at most "
        f"{BUDGET} tokens, as ours; peak: above the loaded model; ratio: median over rounds of "
        "their seconds by ours",
    )


def _ratio(theirs: Sequence[Measured], ours: Sequence[Measured]) -> float:
    return median(t.seconds / o.seconds for t, o in zip(theirs, ours, strict=True))


def _peak(side: Sequence[Measured]) -> float:
    return median(one.peak_bytes for one in side)


def _summary(side: Sequence[Measured]) -> dict[str, object]:
    return {
        "seconds": [one.seconds for one in side],
        "tokens": side[0].tokens,
        "peak_gb": _peak(side) / 2**30,
    }


if __name__ == "__main__":
    main()
