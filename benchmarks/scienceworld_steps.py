"""Steps per second of the ScienceWorld plugin and of the stock wrapper, `ScienceWorldEnv.step`.

Both run the same random walk through each of the 30 tasks in one process, each in a JVM of its own
with the options it comes with, episode by episode in turn (not step by step: the stock wrapper
goes on reading its JVM's log after a step has returned). The numbers are medians over rounds.
Ours includes all that `World.step` does: room, inventory, changes, memory key. Theirs includes
what it always does: listing all valid actions. Ours with a list after every step is measured too,
in episodes of its own, and so are the engine alone (`server.step` in their JVM) and the memory of
both JVMs. Theirs varies by a factor of two and more from round to round on the same machine, so the
ratio of every round is recorded, and the median decides.
"""

import random
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil
from scienceworld import ScienceWorldEnv

from benchmarks.harness import write_result
from empo2_agent.types import Task
from empo2_scienceworld import PLUGIN
from empo2_scienceworld.tasks import TASKS
from empo2_scienceworld.world import World

ROUNDS = 5
STEPS = 30
TICKS = 10_000


@dataclass
class Clock:
    """Milliseconds of each call of one side in one round."""

    calls: list[float] = field(default_factory=list)

    def time(self, call: Callable[[str], object], action: str) -> None:
        """Run and note."""
        start = time.perf_counter()
        call(action)
        self.calls.append((time.perf_counter() - start) * 1000)

    @property
    def per_second(self) -> float:
        """Calls per second."""
        return 1000 * len(self.calls) / sum(self.calls)


def walk(world: World, task: Task) -> list[str]:
    """Admissible actions drawn at random, the same on every run; a focus would end the walk."""
    draw, taken = random.Random(task.name), []
    world.reset(task, seed=0)
    for _ in range(STEPS):
        offered = [action for action in world.actions() if not action.startswith("focus")]
        taken.append(draw.choice(offered))
        world.step(taken[-1])
    return taken


def play_ours(world: World, task: Task, actions: Sequence[str], steps: Clock) -> None:
    """One episode of ours."""
    world.reset(task, seed=0)
    for action in actions:
        steps.time(world.step, action)


def play_listing(world: World, task: Task, actions: Sequence[str], steps: Clock) -> None:
    """One episode of ours with a list of actions after every step."""
    world.reset(task, seed=0)
    for action in actions:
        steps.time(lambda typed: (world.step(typed), world.actions()), action)


def play_server(stock: ScienceWorldEnv, task: Task, actions: Sequence[str], steps: Clock) -> None:
    """One episode of the engine alone, in their JVM: the call that no wrapper can avoid."""
    stock.load(task.name, task.variation, "easy")
    for action in actions:
        steps.time(stock.server.step, action)


def play_theirs(stock: ScienceWorldEnv, task: Task, actions: Sequence[str], steps: Clock) -> None:
    """One episode of theirs."""
    stock.load(task.name, task.variation, "easy")
    stock.reset()
    for action in actions:
        steps.time(stock.step, action)


def play_round(
    world: World, stock: ScienceWorldEnv, walks: dict[Task, list[str]]
) -> tuple[Clock, ...]:
    """Our steps, their steps, our steps with a list of actions each, the engine alone."""
    ours, theirs, listing, server = Clock(), Clock(), Clock(), Clock()
    for number, (task, actions) in enumerate(walks.items()):
        sides = [
            lambda t=task, a=actions: play_ours(world, t, a, ours),
            lambda t=task, a=actions: play_theirs(stock, t, a, theirs),
        ]
        for run in sides if number % 2 else reversed(sides):
            run()
        play_listing(world, task, actions, listing)
        play_server(stock, task, actions, server)
    return ours, theirs, listing, server


def jvm_megabytes() -> list[int]:
    """Resident memory of the JVMs this process started, in the order of their start."""
    javas = [p for p in psutil.Process().children(recursive=True) if "java" in p.name()]
    javas.sort(key=lambda process: process.create_time())
    return [process.memory_info().rss // 2**20 for process in javas]


def main() -> None:
    """Measure, print, write the result."""
    warnings.simplefilter("ignore", ResourceWarning)  # of the stock wrapper's pipes
    world = PLUGIN.make({**PLUGIN.defaults, "max_ticks": TICKS, "hide_actions": False})
    assert isinstance(world, World)
    stock = ScienceWorldEnv("", envStepLimit=TICKS)
    try:
        walks = {
            task: walk(world, task) for task in (Task("scienceworld", info.name) for info in TASKS)
        }
        play_round(world, stock, walks)  # warm-up of both just-in-time compilers
        rounds = [play_round(world, stock, walks) for _ in range(ROUNDS)]
        memory = jvm_megabytes()
    finally:
        world.close()
        stock.close()
    ours, theirs, listing, server = (
        statistics.median(clock.per_second for clock in side) for side in zip(*rounds, strict=True)
    )
    ratios = [one.per_second / two.per_second for one, two, *_ in rounds]
    ratio = statistics.median(ratios)
    write_result(
        "scienceworld_steps",
        ours={
            "steps_per_second": round(ours, 1),
            "steps_per_second_with_admissible_actions": round(listing, 1),
            "median_step_ms": round(statistics.median(rounds[-1][0].calls), 2),
            "jvm_resident_mb": memory[0],
        },
        theirs={
            "steps_per_second": round(theirs, 1),
            "median_step_ms": round(statistics.median(rounds[-1][1].calls), 2),
            "engine_alone_steps_per_second": round(server, 1),
            "jvm_resident_mb": memory[1],
        },
        ratio=round(ratio, 1),
        bar=10.0,
        met=ratio >= 10,
        note=f"ratios by round: {', '.join(f'{one:.1f}' for one in ratios)}; median of {ROUNDS} rounds over {len(walks)} random walks of {STEPS} actions; theirs "
        "lists all valid actions in every step, ours only when asked",
    )


if __name__ == "__main__":
    main()
