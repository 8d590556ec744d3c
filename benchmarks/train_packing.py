"""One update on a group of 20-step ScienceWorld episodes: one row an episode, or one row a turn.

Both sides compute the same loss with the same LoRA weights and project onto the vocabulary only
where a learnt token is predicted. The plain side has a row for each turn (all that stood before the
reply, and the reply), padded batches of rows of like length, and the attention of transformers.
Type: python -m benchmarks.train_packing
"""

from statistics import median

from benchmarks.harness import write_result
from benchmarks.recorded import record, row_per_turn, samples
from benchmarks.updates import (
    BUDGET,
    RANK,
    SAME,
    Timed,
    apart,
    first_gradient,
    new_learner,
    new_optimizer,
    our_update,
    plain_update,
)

EPISODES, STEPS = 8, 20
TIMED = 2
"""Episodes whose updates are timed, on both sides: a row for each turn of all takes too long."""
ROUNDS, BAR, TOKENS_BAR = 2, 5.0, 8.0


def main() -> None:
    """Measure both sides in turn."""
    policy, learner = new_learner(lora_rank=RANK)
    group = samples(record(policy, EPISODES, STEPS))
    rows = [row for sample in group for row in row_per_turn(sample)]
    timed_rows = [row for row in rows if row.sequence < TIMED]
    timed_group = [sample for sample in group if sample.sequence < TIMED]
    optimizer = new_optimizer(learner.weights)
    ours: list[Timed] = []
    theirs: list[Timed] = []
    difference = 0.0
    for turn in range(ROUNDS):
        ours.append(our_update(learner, timed_group))
        theirs.append(
            plain_update(
                learner.weights, optimizer, timed_rows, tokens_per_batch=BUDGET, full_logits=False
            )
        )
        if turn == 0:
            difference = apart(first_gradient(learner.optimizer), first_gradient(optimizer))
    our_tokens = our_update(learner, group).tokens
    their_tokens = sum(len(row.update.token_ids) for row in rows)
    tokens_ratio = their_tokens / our_tokens
    ratio = median(t.seconds / o.seconds for o, t in zip(ours, theirs, strict=True))
    write_result(
        "train_packing",
        ours={
            "tokens": our_tokens,
            "timed_tokens": ours[0].tokens,
            "seconds": [one.seconds for one in ours],
            "tokens_ratio": tokens_ratio,
            "tokens_bar": TOKENS_BAR,
            "gradient_difference": difference,
        },
        theirs={
            "tokens": their_tokens,
            "timed_tokens": theirs[0].tokens,
            "seconds": [one.seconds for one in theirs],
        },
        ratio=ratio,
        bar=BAR,
        met=ratio >= BAR and tokens_ratio >= TOKENS_BAR and difference <= SAME,
        note=f"tokens: of a group of {EPISODES} episodes of {STEPS} steps, padding not counted; "
        f"seconds: of one update on the first {TIMED} of them, on both sides, float32, at most "
        f"{BUDGET} tokens a pass; ratio: median over rounds of their seconds by ours; "
        "gradient_difference: largest of an entry, relative to the largest of its matrix",
    )


if __name__ == "__main__":
    main()
