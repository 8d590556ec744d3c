"""Resident memory of full-weight training of the default model on 8 sequences of 2,000 tokens.

Two updates in a process of its own: in the second the optimizer's state is there from the start.
The sequences are recorded ScienceWorld episodes laid end to end. Type: python -m
benchmarks.train_memory
"""

from collections.abc import Sequence

from benchmarks.fresh import in_fresh_process, peak_bytes, resident_bytes
from benchmarks.harness import write_result
from benchmarks.recorded import long_rows, record, samples
from benchmarks.updates import BUDGET, new_learner, our_update
from empo2_agent.train.samples import Sample

EPISODES, STEPS, LENGTH, BAR_GB = 8, 20, 2000, 8.0


def recorded() -> list[Sample]:
    """The sequences."""
    policy, _ = new_learner(lora_rank=0)
    return long_rows(samples(record(policy, EPISODES, STEPS)), LENGTH)


def measure(group: Sequence[Sample]) -> dict[str, float]:
    """Gigabytes, and seconds of the second update; called in a fresh process."""
    _, learner = new_learner(lora_rank=0)
    loaded = resident_bytes()
    our_update(learner, group)
    timed = our_update(learner, group)
    return {
        "peak_gb": peak_bytes() / 2**30,
        "loaded_gb": loaded / 2**30,
        "seconds": timed.seconds,
        "tokens": timed.tokens,
    }


def main() -> None:
    """Measure."""
    found = in_fresh_process(measure, in_fresh_process(recorded))
    write_result(
        "train_memory",
        ours=found,
        theirs=None,
        ratio=None,
        bar=BAR_GB,
        met=found["peak_gb"] < BAR_GB,
        note=f"the updating process, all weights and AdamW in float32, {EPISODES} sequences of "
        f"{LENGTH} tokens, at most {BUDGET} tokens a pass, no gradient checkpointing",
    )


if __name__ == "__main__":
    main()
