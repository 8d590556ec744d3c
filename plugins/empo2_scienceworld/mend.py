"""Two classes of the engine, mended on the way into the JVM. The installed jar is not touched.

1. Things compare equal by their number but are hashed by identity, which differs from load to
   load: the order of things in a room, heat, ambiguities and whether an episode repeats all hang
   on it. With a hash by number, the same inputs give the same episode.
2. The parser folds white space in the names of all things around, by a regular expression built
   anew for each, several hundred times a step. Names have none to fold and inputs come folded
   (see actions.normalise), so the call is left out.

A jar in which a place looks different is left as it is.
"""

import zipfile
from pathlib import Path

from empo2_scienceworld.classfile import (
    ALOAD_0,
    INVOKEVIRTUAL,
    IRETURN,
    L2I,
    LDC_W,
    NOP,
    ClassFile,
)

THING = "scienceworld/struct/EnvObject"
PARSER = "scienceworld/input/InputParser$"


def hash_by_number(data: bytes) -> bytes:
    """EnvObject with `int hashCode() { return (int) uuid(); }`, which `equals` calls for."""
    if b"hashCode" in data:
        return data
    file = ClassFile(data)
    number = file.method(THING, "uuid", "()J")
    code = ALOAD_0 + INVOKEVIRTUAL + number + L2I + IRETURN
    file.add_method("hashCode", "()I", code, stack=2)
    return file.bytes()


def without_folding(data: bytes) -> bytes:
    r"""InputParser without its one `.replaceAll("\\s+", " ")`."""
    file = ClassFile(data)
    text = "java/lang/String"
    replace = file.method(text, "replaceAll", f"(L{text};L{text};)L{text};")
    arguments = LDC_W + file.string("\\s+") + LDC_W + file.string(" ")
    call = arguments + INVOKEVIRTUAL + replace
    if file.body.count(call) != 1:
        return data
    file.body = file.body.replace(call, NOP * len(call))
    return file.bytes()


def write_mended(jar: Path, folder: Path) -> tuple[str, ...]:
    """Write mended classes below `folder`, to stand before `jar` in the class path.

    Returns:
        The Java names of the classes written.
    """
    written = []
    with zipfile.ZipFile(jar) as archive:
        for name, mend in ((THING, hash_by_number), (PARSER, without_folding)):
            original = archive.read(f"{name}.class")
            mended = mend(original)
            if mended == original:
                continue
            path = folder / f"{name}.class"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(mended)
            written.append(name.replace("/", "."))
    return tuple(written)
