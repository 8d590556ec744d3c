"""Turn a GGUF file into an ordinary Hugging Face folder, once. Run as a module, in a process.

`python -m empo2_agent.policies.convert MODEL.gguf FOLDER`. A process of its own gives back the
memory the conversion takes and keeps the progress bars of transformers off the terminal.
The quantised numbers are expanded to float32, so the folder computes exactly what the GGUF does.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

from empo2_agent.errors import ModelError


def convert(gguf: Path, folder: Path) -> None:
    """Write model, configuration, tokenizer and chat template of `gguf` into `folder`.

    Raises:
        ModelError: The conversion failed.
    """
    command = [sys.executable, "-m", "empo2_agent.policies.convert", str(gguf), str(folder)]
    env = {**os.environ, "HF_HUB_OFFLINE": "1"}  # all there is to read is in the file
    with subprocess.Popen(
        command, env=env, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        lines = process.stderr.read().decode(errors="replace").strip().splitlines()
        code = process.wait()
    if code:
        raise ModelError(f"Converting {gguf.name} failed: {lines[-1] if lines else code}")


def _end_with_parent() -> None:
    """Stop this process when the one that started it is gone, however it ended."""

    def wait() -> None:
        os.read(0, 1)  # nobody writes: this returns when the other end is closed
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    quantised = AutoModelForCausalLM.from_pretrained(
        gguf.parent, gguf_file=gguf.name, dtype=torch.float32
    )
    settings = quantised.config.to_dict()
    del settings["quantization_config"]  # with it, save_pretrained refuses
    settings.pop("_model_name_or_path", None)  # the name its maker gave to the file
    config = AutoConfig.for_model(**settings)
    plain = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(quantised.state_dict())
    plain.generation_config = quantised.generation_config
    plain.save_pretrained(folder)

    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    tokenizer.model_max_length = config.max_position_embeddings
    _restore_digits(gguf, tokenizer)
    tokenizer.save_pretrained(folder)


def _restore_digits(gguf: Path, tokenizer: Any) -> None:
    """Split numbers into digits before anything else, where the GGUF names that rule.

    transformers reads vocabulary and merges from a GGUF but not `tokenizer.ggml.pre`; without
    the digits rule, white space in front of a number is cut differently than in training.
    """
    from gguf import GGUFReader
    from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence

    field = GGUFReader(gguf).get_field("tokenizer.ggml.pre")
    if field is not None and field.contents() == "smollm":
        tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
            [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
        )


if __name__ == "__main__":
    _end_with_parent()
    _write(Path(sys.argv[1]), Path(sys.argv[2]))
