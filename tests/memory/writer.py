"""Opens a memory in a process of its own: `python -m tests.memory.writer FOLDER hold|write FIRST`.

`hold` opens it and waits for the end of its input. `write` adds tips from number FIRST on, as fast
as it can, and prints the number of each once `add` has returned.
"""

import sys
from pathlib import Path

from empo2_agent.memory.chroma import ChromaTips
from tests.memory.helpers import Angles, make_tip


def main() -> None:
    folder, doing, first = sys.argv[1:]
    memory = ChromaTips(Path(folder), Angles())
    print("open", flush=True)
    if doing == "hold":
        sys.stdin.read()
        return
    number = int(first)
    while True:
        memory.add([make_tip(f"run/0/{number}", key=f"angle {number % 90}")])
        print(number, flush=True)
        number += 1


if __name__ == "__main__":
    main()
