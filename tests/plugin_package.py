"""Writes environment plugins as installed packages: a module and its dist-info, as pip leaves them."""

from pathlib import Path

COUNTING = '''
"""Say `next` until the count is reached."""
from empo2_agent.errors import UsageError
from empo2_agent.types import Status, StepResult, TaskInfo

class World:
    def __init__(self, start): self.start = start
    def reset(self, task, *, seed):
        self.count, self.goal, self.over = self.start, task.variation + 1, False
        return StepResult(f"The count is {self.count}.")
    def step(self, action):
        if self.over:
            return StepResult("It is over.", 0.0, Status.SUCCESS)
        if action != "next":
            return StepResult("Say next.")
        self.count += 1
        self.over = self.count == self.goal
        status = Status.SUCCESS if self.over else None
        return StepResult(f"The count is {self.count}.", float(self.over), status)
    def actions(self): return ("next", "wait")
    def close(self): pass
    def kill(self): pass

class Plugin:
    name, max_score, step_limit, defaults = "counting", 1.0, 20, {"start": 0}
    def tasks(self): return (TaskInfo("count-up", 8, "Count up."), TaskInfo("count-again", 4))
    def variations(self, task, split):
        total = {info.name: info.variations for info in self.tasks()}.get(task, 0)
        splits = {"train": range(total // 2), "dev": range(0),
                  "test": range(total // 2, total), "all": range(total)}
        if split not in splits or not total:
            raise UsageError(f"there is no split {split!r} of {task!r}.")
        return splits[split]
    def instructions(self, task): return "Count up. Reply next."
    def make(self, settings): return World(settings["start"])
    def check(self): return [("counting", True, "1")]
    def versions(self): return {"counting": "1"}

PLUGIN = Plugin()
'''
SCORELESS = '"""Lacks members."""\nclass Plugin:\n    name = "counting"\nPLUGIN = Plugin()\n'


def install(
    folder: Path, environment: str, source: str, *, package: str = "", version: str = "1.5"
) -> Path:
    """Make `folder` hold a package that offers `environment`; returns the folder for sys.path."""
    package = package or f"empo2-{environment}"
    module = package.replace("-", "_")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{module}.py").write_text(source, "utf-8")
    metadata = folder / f"{module}-{version}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n", "utf-8"
    )
    (metadata / "entry_points.txt").write_text(
        f"[empo2_agent.environments]\n{environment} = {module}:PLUGIN\n", "utf-8"
    )
    return folder
