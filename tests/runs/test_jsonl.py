import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from empo2_agent.errors import RunFolderError
from empo2_agent.runs.jsonl import (
    append_line,
    count_lines,
    cut_torn_line,
    read_lines,
    write_atomically,
)

FULL_DISK = """
import resource, sys
from pathlib import Path
from empo2_agent.errors import RunFolderError
from empo2_agent.runs.jsonl import append_line, write_atomically
path = Path(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    for number in range(100):
        append_line(path, {"number": number, "text": "x" * 100})
except RunFolderError as error:
    print(error)
try:
    write_atomically(path.with_name("run.json"), {"text": "x" * 2000})
except RunFolderError as error:
    print(error)
"""


def test_lines_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    assert list(read_lines(path)) == []
    assert count_lines(path) == 0
    documents: list[dict[str, object]] = [
        {"a": 1},
        {"text": "two\nlines\u2028é\x1b[31m"},
        {"a": [1.5, None]},
    ]
    for document in documents:
        append_line(path, document)
    assert list(read_lines(path)) == documents
    assert count_lines(path) == 3
    assert path.read_bytes().isascii()


@given(st.lists(st.dictionaries(st.text(max_size=3), st.integers()), max_size=4), st.data())
def test_cut_anywhere_the_finished_lines_remain(
    tmp_path_factory: pytest.TempPathFactory,
    documents: list[dict[str, object]],
    data: st.DataObject,
) -> None:
    path = tmp_path_factory.mktemp("torn") / "a.jsonl"
    ends = [0]
    for document in documents:
        append_line(path, document)
        ends.append(path.stat().st_size)
    cut = data.draw(st.integers(0, ends[-1]))
    path.touch()
    path.write_bytes(path.read_bytes()[:cut])  # as after a kill in the middle of a write
    whole = documents[: sum(end <= cut for end in ends) - 1]
    assert list(read_lines(path)) == whole
    assert count_lines(path) == len(whole)
    cut_torn_line(path)
    append_line(path, {"after": True})
    assert list(read_lines(path)) == [*whole, {"after": True}]


def test_damage_before_the_last_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"b": \n{"c": 3}\n', "utf-8")
    with pytest.raises(RunFolderError, match=r"a\.jsonl, line 2, is damaged"):
        list(read_lines(path))
    path.write_text('{"a": 1}\n[]\n', "utf-8")
    with pytest.raises(RunFolderError, match="line 2, is damaged: not a JSON object"):
        list(read_lines(path))


def test_a_full_disk_is_one_line_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    (tmp_path / "run.json").write_text('{"old": true}', "utf-8")
    command = [sys.executable, "-c", FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.stdout == (
        f"cannot write {path}: File too large.\n"
        f"cannot write {tmp_path / 'run.json'}: File too large.\n"
    )
    numbers = [document["number"] for document in read_lines(path)]
    assert numbers == list(range(len(numbers)))
    assert 1 <= len(numbers) < 10
    assert path.read_bytes().endswith(b"\n")
    assert json.loads((tmp_path / "run.json").read_bytes()) == {"old": True}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.jsonl", "run.json"]


def test_unwritable_and_unreadable_places(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    inside = tmp_path / "file" / "a.jsonl"
    with pytest.raises(RunFolderError, match=r"cannot write .*a\.jsonl: Not a directory"):
        append_line(inside, {})
    with pytest.raises(RunFolderError, match=r"cannot write .*a\.jsonl"):
        write_atomically(inside, {})
    with pytest.raises(RunFolderError, match="Is a directory"):
        list(read_lines(tmp_path))


def test_values_json_does_not_know_are_bugs(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_line(tmp_path / "a.jsonl", {"a": float("nan")})
    assert not (tmp_path / "a.jsonl").exists()
