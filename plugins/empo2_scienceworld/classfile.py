"""Just enough of the Java class file format to complete a class: constants, and one more method.

Format: The Java Virtual Machine Specification, chapter 4.
"""

import struct

_UTF8, _CLASS, _STRING, _METHOD, _NAME_AND_TYPE = 1, 7, 8, 10, 12
_SIZES = {3: 5, 4: 5, 5: 9, 6: 9, 7: 3, 8: 3, 9: 5, 10: 5, 11: 5, 12: 5}
_SIZES |= {15: 4, 16: 3, 17: 5, 18: 5, 19: 3, 20: 3}
_WIDE = (5, 6)  # long and double take two numbers

ALOAD_0, INVOKEVIRTUAL, L2I, IRETURN, LDC_W, NOP = (
    b"\x2a",
    b"\xb6",
    b"\x88",
    b"\xac",
    b"\x13",
    b"\0",
)


class ClassFile:
    """A class file whose constants can be looked up, or added where they are missing.

    Args:
        data: The whole file.
    """

    def __init__(self, data: bytes) -> None:
        self._head = data[:8]
        self._numbers: dict[tuple[int, bytes], int] = {}
        self._pool: list[bytes] = []
        count = struct.unpack_from(">H", data, 8)[0]
        position, self._next = 10, 1
        while self._next < count:
            tag = data[position]
            size = _SIZES.get(tag) or 3 + struct.unpack_from(">H", data, position + 1)[0]
            self._append(tag, data[position + 1 : position + size])
            position += size
        self.body = data[position:]
        """Everything behind the constants."""

    def _append(self, tag: int, content: bytes) -> int:
        number = self._numbers.setdefault((tag, content), self._next)
        self._pool.append(bytes((tag,)) + content)
        self._next += 2 if tag in _WIDE else 1
        return number

    def _number(self, tag: int, content: bytes) -> bytes:
        number = self._numbers.get((tag, content)) or self._append(tag, content)
        return struct.pack(">H", number)

    def utf8(self, text: str) -> bytes:
        """The two-byte number of a text."""
        return self._number(_UTF8, struct.pack(">H", len(text)) + text.encode())

    def string(self, text: str) -> bytes:
        """The number of a string literal."""
        return self._number(_STRING, self.utf8(text))

    def method(self, owner: str, name: str, descriptor: str) -> bytes:
        """The number of a reference to a method."""
        pair = self._number(_NAME_AND_TYPE, self.utf8(name) + self.utf8(descriptor))
        return self._number(_METHOD, self._number(_CLASS, self.utf8(owner)) + pair)

    def add_method(self, name: str, descriptor: str, code: bytes, *, stack: int) -> None:
        """Add a public method without branches, arguments or handlers; `stack`: its depth."""
        body = struct.pack(">HHI", stack, 1, len(code)) + code + bytes(4)
        attribute = self.utf8("Code") + struct.pack(">I", len(body)) + body
        method = b"\0\1" + self.utf8(name) + self.utf8(descriptor) + b"\0\1" + attribute
        position = self._methods()
        count = struct.unpack_from(">H", self.body, position)[0]
        before, after = self.body[:position], self.body[position + 2 :]
        self.body = before + struct.pack(">H", count + 1) + method + after

    def _methods(self) -> int:
        """Where in the body the number of methods stands: behind interfaces and fields."""

        def number(at: int, form: str = ">H") -> int:
            return int(struct.unpack_from(form, self.body, at)[0])

        position = 8 + 2 * number(6)
        fields, position = number(position), position + 2
        for _ in range(fields):
            attributes, position = number(position + 6), position + 8
            for _ in range(attributes):
                position += 6 + number(position + 2, ">I")
        return position

    def bytes(self) -> bytes:
        """The whole file."""
        return self._head + struct.pack(">H", self._next) + b"".join(self._pool) + self.body
