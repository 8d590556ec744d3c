import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from empo2_agent.errors import RunFolderError
from empo2_agent.runs import Run, create_run, list_runs, open_run
from tests.full_disk import files_at_most
from tests.runs.samples import make_episode, make_tip

WRITER = """
import sys, time
from pathlib import Path
from empo2_agent.runs import create_run
from tests.runs.samples import make_episode, make_tip
run = create_run("adapt", "red lamp", settings={}, origins={}, seed=0, run_dir=Path(sys.argv[1]))
for seed in range(3):
    run.add_episode(make_episode(seed=seed), trial=seed)
    run.add_tip(make_tip(id=str(seed)))
with (run.path / "episodes.jsonl").open("ab", buffering=0) as file:
    file.write(b'{"task": {"env')
print("ready", flush=True)
time.sleep(60)
"""


def new_run(root: Path, **overrides: Any) -> Run:
    given: dict[str, Any] = {"settings": {"seed": 3}, "origins": {"seed": "flag"}, "seed": 3}
    return create_run("adapt", "toy/red-lamp/2", root=root, **{**given, **overrides})


def test_run_json_says_how_it_was_made(tmp_path: Path) -> None:
    run = new_run(tmp_path, versions={"scienceworld": "1.2.3"}, facts={"task": "toy/red-lamp/2"})
    assert run.path.parent == tmp_path
    assert run.name.endswith("-adapt-toy-red-lamp-2")
    document = json.loads((run.path / "run.json").read_text("utf-8"))
    assert document == run.document
    assert document["command"] == "adapt"
    assert document["status"] == "running"
    assert document["task"] == "toy/red-lamp/2"
    assert (document["settings"], document["origins"]) == ({"seed": 3}, {"seed": "flag"})
    assert {"python", "empo2-agent", "torch", "transformers"} <= document["versions"].keys()
    assert document["versions"]["scienceworld"] == "1.2.3"
    assert document["machine"]["cores"] == os.cpu_count()
    assert document["process"]["pid"] == os.getpid()


def test_two_runs_of_one_second_get_two_folders(tmp_path: Path) -> None:
    names = [new_run(tmp_path).name for _ in range(3)]
    assert len(set(names)) == 3


def test_hostile_names_stay_inside_the_root(tmp_path: Path) -> None:
    for name in ("../../etc", "a\x1b[31m\nb", "", "..", "x" * 300):
        run = create_run("play", name, settings={}, origins={}, seed=0, root=tmp_path)
        assert run.path.resolve().parent == tmp_path.resolve()
        assert all(c.isalnum() or c in "-." for c in run.name)


def test_episodes_and_tips_come_back(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.add_episode(make_episode(), trial=0)
    run.add_episode(make_episode(seed=8), trial=1, arm="control")
    run.add_tip(make_tip())
    again = open_run(run.path)
    assert [tuple(recorded) for recorded in again.episodes()] == [
        (make_episode(), {"trial": 0}),
        (make_episode(seed=8), {"trial": 1, "arm": "control"}),
    ]
    assert again.episode_count() == 2
    assert list(again.tips()) == [make_tip()]


def test_a_run_is_never_overwritten(tmp_path: Path) -> None:
    run = new_run(tmp_path, run_dir=tmp_path / "mine")
    assert run.name == "mine"
    before = (tmp_path / "mine" / "run.json").read_bytes()
    with pytest.raises(RunFolderError, match="mine is not empty, and a run is never overwritten"):
        new_run(tmp_path, run_dir=tmp_path / "mine")
    assert (tmp_path / "mine" / "run.json").read_bytes() == before
    (tmp_path / "empty").mkdir()
    assert new_run(tmp_path, run_dir=tmp_path / "empty").status == "running"


def test_places_where_no_folder_can_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(RunFolderError, match=r"cannot make a run folder at .*file"):
        new_run(tmp_path, run_dir=tmp_path / "file" / "inner")
    with pytest.raises(RunFolderError, match=r"cannot make a run folder at .*file"):
        new_run(tmp_path / "file")


@pytest.mark.parametrize(
    ("error", "status"), [(None, "done"), (KeyboardInterrupt, "interrupted"), (OSError, "failed")]
)
def test_the_block_records_how_it_was_left(
    tmp_path: Path, error: type[BaseException] | None, status: str
) -> None:
    run = new_run(tmp_path)
    try:
        with run:
            if error:
                raise error
    except (KeyboardInterrupt, OSError) as raised:
        assert type(raised) is error  # noqa: PT017 - a KeyboardInterrupt must not reach pytest
    assert open_run(run.path).status == status
    assert open_run(run.path).document["ended"]


def test_what_the_command_recorded_stands(tmp_path: Path) -> None:
    with new_run(tmp_path) as run:
        run.finish("interrupted", result={"trials": 2})
    again = open_run(run.path)
    assert (again.status, again.document["result"]) == ("interrupted", {"trials": 2})


def test_a_killed_run_is_readable_recognised_and_resumable(tmp_path: Path) -> None:
    path = tmp_path / "killed"
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert writer.stdout is not None
    with writer.stdout as output:
        assert output.readline() == "ready\n"
        assert open_run(path).status == "running"
        with pytest.raises(RunFolderError, match="is being written by another process"):
            open_run(path, resume=True)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
    killed = open_run(path)
    assert killed.status == "killed"
    assert [recorded.extra["trial"] for recorded in killed.episodes()] == [0, 1, 2]
    assert killed.episode_count() == 3
    assert [tip.id for tip in killed.tips()] == ["0", "1", "2"]

    resumed = open_run(path, resume=True)
    assert resumed.status == "running"
    resumed.add_episode(make_episode(), trial=3)
    resumed.finish("done")
    again = open_run(path)
    assert again.status == "done"
    assert [recorded.extra["trial"] for recorded in again.episodes()] == [0, 1, 2, 3]
    assert len(again.document["resumed"]) == 1


def test_a_reused_process_number_is_not_the_writer(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    run.document["process"]["created"] -= 3600
    assert run.status == "killed"
    run.document["process"]["host"] = "another-machine"
    assert run.status == "running"


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="is no run folder"):
        open_run(tmp_path)
    for text in ("{", "[]", '{"command": "adapt"}', "\xff"):
        (tmp_path / "run.json").write_text(text, "latin-1")
        with pytest.raises(RunFolderError, match=r"run\.json is damaged"):
            open_run(tmp_path)


def test_an_episode_of_another_format_is_refused(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    (run.path / "episodes.jsonl").write_text('{"task": {}, "status": "no such"}\n', "utf-8")
    with pytest.raises(RunFolderError, match="holds an episode this version cannot read"):
        list(run.episodes())


def test_listing_names_damaged_runs_and_goes_on(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "absent") == []
    good = new_run(tmp_path, run_dir=tmp_path / "b")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "run.json").write_text("{", "utf-8")
    (tmp_path / "c").mkdir()
    damaged, found = list_runs(tmp_path)
    assert isinstance(damaged, RunFolderError)
    assert isinstance(found, Run)
    assert found.path == good.path


def test_a_full_disk_does_not_hide_what_it_made_fail(tmp_path: Path) -> None:
    run = new_run(tmp_path)
    said = pytest.raises(RunFolderError, match=r"cannot write .*episodes\.jsonl")
    with said, files_at_most(10), run:
        run.add_episode(make_episode())
    assert open_run(run.path).status == "running"
