import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from empo2_agent.policies.catalog import KnownModel
from tests.policies.pulling import NOWHERE, environment, pull
from tests.policies.servers import REVISION, Route, Site, hub_routes, serve

NAME = "some/tiny"
KNOWN = KnownModel("tiny", NAME, "1k", "MIT", disk_mb=1)
WEIGHTS = f"/{NAME}/resolve/{REVISION}/model.safetensors"


@pytest.fixture
def site(tiny_model_dir: Path) -> Iterator[Site]:
    files = {file.name: file.read_bytes() for file in tiny_model_dir.iterdir()}
    extra = {"onnx/model.safetensors": b"x", "pytorch_model.bin": b"x", "run_me.py": b"x"}
    with serve(Site(hub_routes(NAME, files | extra))) as running:
        yield running


def same_files(folder: Path, model: Path) -> bool:
    return all((folder / f.name).read_bytes() == f.read_bytes() for f in model.iterdir())


def test_a_hub_name_is_fetched_once_and_then_needs_no_network(
    site: Site, tmp_path: Path, tiny_model_dir: Path
) -> None:
    code, lines = pull(NAME, environment(tmp_path, hub=site.url))
    assert code == 0, lines
    folder = Path(lines[-1].removeprefix("folder "))
    assert same_files(folder, tiny_model_dir)
    assert not any((folder / name).exists() for name in ("onnx", "pytorch_model.bin", "run_me.py"))

    asked = len(site.asked)
    for env in (
        environment(tmp_path, hub=site.url),
        environment(tmp_path, hub=NOWHERE),
        environment(tmp_path, hub=site.url) | {"HF_HUB_OFFLINE": "1"},
    ):
        assert pull(NAME, env) == (0, [f"folder {folder}"])
    assert len(site.asked) == asked


def test_a_known_model_comes_from_the_hub_where_it_answers(
    site: Site, tmp_path: Path, tiny_model_dir: Path
) -> None:
    code, lines = pull(KNOWN, environment(tmp_path, hub=site.url))
    assert code == 0, lines
    folder = Path(lines[-1].removeprefix("folder "))
    assert folder == tmp_path / "cache" / "models" / "tiny"
    assert same_files(folder, tiny_model_dir)
    assert REVISION in (folder / "empo2-model.json").read_text()
    assert not (folder / ".cache").exists()
    assert pull(KNOWN, environment(tmp_path), "verify") == (0, [f"folder {folder}"])


def test_a_broken_download_from_the_hub_goes_on(site: Site, tmp_path: Path) -> None:
    size = 24_000_000  # the client writes 10 MB at a time: what is shorter is not resumed
    header = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    body = len(header).to_bytes(8, "little") + header + bytes(size)
    files = {"model.safetensors": body, "config.json": b"{}"}
    site.routes = hub_routes(NAME, files)
    site.cuts = [12_000_000]
    code, lines = pull(KNOWN, environment(tmp_path, hub=site.url))
    assert code == 0, lines
    assert (tmp_path / "cache/models/tiny/model.safetensors").read_bytes() == body
    assert [bool(wanted) for wanted in site.gets(WEIGHTS)] == [False, True]
    counts = [int(line.split()[1]) for line in lines if line.startswith("bytes")]
    assert counts[-1] > size


def test_wrong_bytes_from_the_hub_are_refused(site: Site, tmp_path: Path) -> None:
    right = site.routes[WEIGHTS].body
    site.routes[WEIGHTS].body = right[:-1] + bytes([right[-1] ^ 1])
    env = environment(tmp_path, hub=site.url)
    code, lines = pull(KNOWN, env)
    assert code == 4
    assert "model.safetensors of some/tiny fails its checksum and was deleted" in lines[-1]
    assert not (tmp_path / "cache" / "models" / "tiny").exists()
    site.routes[WEIGHTS].body = right
    assert pull(KNOWN, env)[0] == 0


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (404, "RepoNotFound", "The Hugging Face hub has no model some/tiny"),
        (403, "GatedRepo", "some/tiny is gated: accept its terms"),
    ],
)
def test_the_hub_refuses(
    site: Site, tmp_path: Path, status: int, reason: str, message: str
) -> None:
    site.routes = {f"/api/models/{NAME}": Route(b"{}", {"X-Error-Code": reason}, status)}
    for model in (NAME, KNOWN):
        code, lines = pull(model, environment(tmp_path, hub=site.url))
        assert code == 4
        assert message in lines[-1]


@pytest.mark.parametrize("extra", [{}, {"HF_HUB_OFFLINE": "1"}])
def test_no_hub(tmp_path: Path, extra: dict[str, str]) -> None:
    code, lines = pull(NAME, environment(tmp_path) | extra)
    assert code == 4
    assert (
        "There is no folder some/tiny here, and the Hugging Face hub does not answer" in lines[-1]
    )
    assert ("HF_HUB_OFFLINE is set" in lines[-1]) == bool(extra)

    code, lines = pull(KNOWN, environment(tmp_path) | extra)
    assert code == 4
    assert "No network for model tiny: the Hugging Face hub does not answer" in lines[-1]
