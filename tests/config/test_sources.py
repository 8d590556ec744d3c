from pathlib import Path

import pytest

from empo2_agent.config import Section, Settings, flatten, resolve
from empo2_agent.errors import UsageError


def write(folder: Path, text: str, name: str = "a.toml") -> Path:
    path = folder / name
    path.write_text(text, "utf-8")
    return path


def test_without_sources_everything_is_default() -> None:
    settings, origins = resolve()
    assert settings == Settings()
    assert set(origins.values()) == {"default"}
    assert set(origins) == {key for key, _ in flatten(settings)}


def test_precedence_and_origins(tmp_path: Path) -> None:
    first = write(tmp_path, "seed = 1\n[episode]\nmax_steps = 4\n[memory]\nthreshold = 0.2")
    second = write(tmp_path, "[memory]\nthreshold = 1\nmax_tips = 3", "b.toml")
    settings, origins = resolve(
        preset="paper-scienceworld",
        files=[first, second],
        pairs=["memory.max_tips=5", "model.name=some/model"],
        flags={"seed": 9, "episode.max_steps": None},
    )
    seen = dict(flatten(settings))
    expected = {
        "sampling.style": ("correct", "preset paper-scienceworld"),
        "episode.max_steps": (4, f"file {first}"),  # the file beats the preset; no flag was given
        "memory.threshold": (1.0, f"file {second}"),  # the later file wins
        "memory.max_tips": (5, "--set"),  # --set beats both files
        "model.name": ("some/model", "--set"),
        "seed": (9, "flag"),
        "memory.scope": ("task", "default"),
        "environment.simplifications": ("easy", "preset paper-scienceworld"),
    }
    assert {key: (seen[key], origins[key]) for key in expected} == expected


@pytest.mark.parametrize(
    ("pair", "key", "value"),
    [
        ("adapt.control=true", "adapt.control", True),
        ("memory.threshold=1", "memory.threshold", 1.0),
        ("sampling.temperature=0", "sampling.temperature", 0.0),
        ("model.device=cuda:1", "model.device", "cuda:1"),
        ('model.name="7"', "model.name", "7"),
        ("model.name=a=b", "model.name", "a=b"),
        ("environment.size=3", "environment.size", 3),
        ("environment.word= easy ", "environment.word", "easy"),
        ("environment.both=1\nseed=2", "environment.both", "1\nseed=2"),
    ],
)
def test_values_of_set(pair: str, key: str, value: object) -> None:
    settings, origins = resolve(pairs=[pair])
    found = dict(flatten(settings))[key]
    assert (found, type(found)) == (value, type(value))
    assert origins[key] == "--set"


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        ("memory.treshold=1", "unknown setting memory.treshold (--set). Did you mean memory.threshold?"),
        ("treshold=1", "unknown setting treshold (--set). Did you mean memory.threshold?"),
        ("sed=1", "unknown setting sed (--set). Did you mean seed?"),
        ("adap.trials=1", "unknown setting adap (--set). Did you mean adapt?"),
        ("episode.capacity=1", "unknown setting episode.capacity (--set)."),
        ("memory=1", "memory (--set) is a section"),
        ("seed.x=1", "bad value for seed (--set): {'x': 1}"),
        ("model.name.x=1", "bad value for model.name (--set)"),
        ("trials", "--set takes section.key=value, not 'trials'"),
        ("=1", "--set takes section.key=value"),
        ("memory..scope=task", "--set takes section.key=value"),
        ("adapt.trials=0", "bad value for adapt.trials (--set): 0."),
        ("adapt.trials=true", "bad value for adapt.trials (--set): True."),
        ("adapt.trials=ten", "bad value for adapt.trials (--set): 'ten'."),
        ("sampling.style=fre", "'fre'. Input should be 'auto', 'free', 'correct' or 'constrained'"),
        ("memory.threshold=nan", "bad value for memory.threshold (--set): nan."),
        ("sampling.temperature=inf", "bad value for sampling.temperature"),
        ("environment.a=[1]", "bad value for environment.a (--set): [1]"),
    ],
)  # fmt: skip
def test_bad_pairs_name_the_setting_the_source_and_the_value(pair: str, said: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve(pairs=[pair])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bad_files_are_named(tmp_path: Path) -> None:
    cases = {
        write(tmp_path, "[memory\n", "torn.toml"): "torn.toml is not valid TOML",
        write(tmp_path, "a = 1\nb = x\n", "late.toml"): "(at line 2, column",
        write(tmp_path, "[memory]\nscop='task'", "c.toml"): "memory.scop (file",
        write(tmp_path, "[memory]\nscope=7", "d.toml"): "d.toml): 7.",
        write(tmp_path, '[environment]\n"a.b"=1\na=2', "e.toml"): "unknown setting environment.a.b",
        tmp_path / "absent.toml": "absent.toml: No such file or directory",
        tmp_path: "Is a directory",
    }
    (tmp_path / "latin.toml").write_bytes(b"a = '\xff'")
    cases[tmp_path / "latin.toml"] = "latin.toml is not valid TOML"
    for path, said in cases.items():
        with pytest.raises(UsageError) as raised:
            resolve(files=[path])
        assert said in str(raised.value)
        assert str(path) in str(raised.value)


def test_several_bad_values_are_counted(tmp_path: Path) -> None:
    path = write(tmp_path, "[adapt]\ntrials = 0\n[memory]\nmax_tips = 0\nscope = 'x'")
    with pytest.raises(UsageError, match=r"\(and 2 more\)"):
        resolve(files=[path])


def test_unknown_preset() -> None:
    with pytest.raises(UsageError, match=r"no preset 'paper-sciencworld'\. Did you mean paper-sci"):
        resolve(preset="paper-sciencworld")


def test_set_and_flag_may_agree_but_not_differ() -> None:
    assert resolve(pairs=["seed=3"], flags={"seed": 3}).settings.seed == 3
    with pytest.raises(UsageError, match="seed is given twice: 3 by --set, 4 by its flag"):
        resolve(pairs=["seed=3"], flags={"seed": 4})


def test_settings_without_effect_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"adapt\.trials \(--set\) has no effect"):
        resolve(pairs=["adapt.trials=3"], unused=["adapt"])
    shared = write(tmp_path, "[adapt]\ntrials = 3")  # a file may serve several commands
    assert resolve(files=[shared], unused=["adapt"]).settings.adapt.trials == 3
    with pytest.raises(UsageError, match=r"memory\.scope \(--set\) has no effect: .* is none"):
        resolve(pairs=["memory.scope=task"], flags={"memory.location": "none"})
    resolve(preset="paper-scienceworld", flags={"memory.location": "none"})


def test_single_keys_can_be_without_effect(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"memory\.key \(--set\) has no effect on this command"):
        resolve(pairs=["memory.key=step"], unused=["memory.key"])
    assert resolve(pairs=["memory.scope=variation"], unused=["memory.key"])
    shared = write(tmp_path, "[memory]\nkey = 'step'")
    assert resolve(files=[shared], unused=["memory.key"]).settings.memory.key == "step"


def test_a_command_may_have_no_memory_unless_one_is_named(tmp_path: Path) -> None:
    none = {"memory.location": "none"}
    settings, origins = resolve(defaults=none)
    assert (settings.memory.location, origins["memory.location"]) == ("none", "default")
    assert resolve(defaults=none, flags={"memory.location": "x"}).settings.memory.location == "x"
    with pytest.raises(UsageError, match=r"memory\.scope \(--set\) .* no --memory is given"):
        resolve(defaults=none, pairs=["memory.scope=task"])
    shared = write(tmp_path, "[memory]\nscope = 'variation'")  # serves commands with a memory too
    assert resolve(defaults=none, files=[shared]).settings.memory.location == "none"
    with pytest.raises(UsageError, match=r"memory\.scope \(file .* is none"):
        resolve(defaults=none, files=[shared], flags={"memory.location": "none"})


def test_there_is_one_engine_and_no_setting_for_it() -> None:
    with pytest.raises(UsageError, match=r"unknown setting model\.engine"):
        resolve(pairs=["model.engine=transformers"])


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        resolve().settings.memory.capacity = 3


def test_every_setting_is_described() -> None:
    for name, field in Settings.model_fields.items():
        section = field.default
        if isinstance(section, Section):
            for key, inner in type(section).model_fields.items():
                assert inner.description, f"{name}.{key}"
        else:
            assert field.description, name
