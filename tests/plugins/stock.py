"""The stock ScienceWorld wrapper, and gold paths, to compare with. For tests only."""

import gc
import os
import zipfile
from pathlib import Path
from typing import Any

from scienceworld import ScienceWorldEnv

from empo2_scienceworld.engine import stream_seed
from empo2_scienceworld.java import jar_path
from empo2_scienceworld.jvm import Jvm
from empo2_scienceworld.mend import THING, hash_by_number

NO_LIMIT = 1_000_000


def comparable_jar(folder: Path) -> str:
    """A class path with the untouched jar behind one class, the one that hashes by number.

    Without it two runs of the stock wrapper differ from each other: it orders by identity hash.
    """
    with zipfile.ZipFile(jar_path()) as archive:
        mended = hash_by_number(archive.read(f"{THING}.class"))
    path = folder / f"{THING}.class"
    path.parent.mkdir(parents=True)
    path.write_bytes(mended)
    return os.pathsep.join((str(folder), str(jar_path())))


class Stock:
    """The stock wrapper with its random stream set as ours sets it."""

    def __init__(self, class_path: str, limit: int = NO_LIMIT) -> None:
        self.env: Any = ScienceWorldEnv("", class_path, envStepLimit=limit)
        java = self.env._gateway.jvm
        self._random = getattr(getattr(java.scala.util, "Random$"), "MODULE$")
        self._inputs = 0

    def load(self, task: str, variation: int) -> dict[str, Any]:
        """Start an episode; `load` resets, so `reset` is not called."""
        self.env.load(task, variation, "easy")
        self._inputs = 0
        return self.step("look around")

    def step(self, action: str) -> dict[str, Any]:
        """One step: what it returns, in one mapping."""
        self._inputs += 1
        self._random.setSeed(stream_seed(0, self._inputs))
        observation, reward, done, info = self.env.step(action)
        return {**info, "observation": observation, "reward": reward, "done": done}

    def cancel_question(self) -> None:
        """Cancel an "Ambiguous request" as ours does, instead of losing the next input to it."""
        self.env.server.agentInterface().get().inputParser().clearAmbiguousState()

    def close(self) -> None:
        """End its JVM, and close the pipes that the wrapper leaves open."""
        process = self.env._gateway.java_process
        self.env.close()
        process.wait(20)
        for pipe in (process.stdin, process.stdout):
            pipe.close()
        gc.collect()  # what else it leaves open is reported here and not in another test


def gold_path(jvm: Jvm, task: str, variation: int) -> list[str]:
    """The engine's own solution (1 to 20 s).

    The switch must go back: left on, every later load would compute a path first.
    """
    server = jvm.gateway.jvm.scienceworld.runtime.pythonapi.PythonInterface()
    server.load(task, variation, "easy", True)
    path = list(server.getGoldActionSequence())
    getattr(server, "goldPathGenerationEnabled_$eq")(False)
    return path
