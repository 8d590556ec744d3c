"""Mended classes differ from the jar's in nothing but what was meant."""

import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from empo2_scienceworld.classfile import ClassFile
from empo2_scienceworld.java import jar_path
from empo2_scienceworld.mend import PARSER, THING, hash_by_number, without_folding, write_mended


def original(name: str) -> bytes:
    with zipfile.ZipFile(jar_path()) as archive:
        return archive.read(f"{name}.class")


@pytest.mark.parametrize("name", [THING, PARSER, "scienceworld/runtime/AgentInterface"])
def test_a_class_that_is_read_and_written_is_the_same(name: str) -> None:
    assert ClassFile(original(name)).bytes() == original(name)


def test_constants_are_found_before_they_are_added() -> None:
    file = ClassFile(original(THING))
    file.method(THING, "uuid", "()J")
    assert file.bytes() == original(THING)
    assert file.utf8("no such text") == file.utf8("no such text")
    assert len(file.bytes()) == len(original(THING)) + 3 + len("no such text")


def test_the_regular_expression_is_nine_bytes_of_nothing() -> None:
    before, after = original(PARSER), without_folding(original(PARSER))
    changed = [i for i, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
    assert changed
    assert changed[-1] - changed[0] < 9
    assert set(after[changed[0] : changed[-1] + 1]) == {0}


def test_what_is_mended_already_or_looks_different_is_left_alone() -> None:
    for mend, name in ((hash_by_number, THING), (without_folding, PARSER)):
        once = mend(original(name))
        assert once != original(name)
        assert mend(once) == once


def test_both_classes_are_written(tmp_path: Path) -> None:
    names = write_mended(jar_path(), tmp_path)
    assert names == ("scienceworld.struct.EnvObject", "scienceworld.input.InputParser$")
    for name in names:
        assert (tmp_path / f"{name.replace('.', '/')}.class").is_file()


@pytest.mark.skipif(shutil.which("javap") is None, reason="needs javap, which only a JDK has")
def test_javap_reads_the_new_method(tmp_path: Path) -> None:
    write_mended(jar_path(), tmp_path)
    shown = subprocess.run(
        ["javap", "-p", "-c", "-cp", str(tmp_path), "scienceworld.struct.EnvObject"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    code = shown.split("public int hashCode();")[1].split("\n\n")[0]
    assert [line.split()[1] for line in code.splitlines()[2:]] == [
        "aload_0",
        "invokevirtual",
        "l2i",
        "ireturn",
    ]
