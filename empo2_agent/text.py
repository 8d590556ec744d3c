"""Making foreign text safe to show and to store: no control characters, whatever the source."""

import re
import unicodedata

# Cc: controls. Cf: invisible format characters (bidirectional overrides, zero-width, tags).
# Cs, Co, Cn: surrogates, private use, unassigned. Zl, Zp: line and paragraph separators.
_UNSAFE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_WORD = re.compile(r"\w+")
_ANSI = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")


def clean(text: str) -> str:
    r"""Remove terminal escapes and every control or invisible character but `\n` and `\t`."""
    text = _ANSI.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "".join(c for c in text if c in "\n\t" or unicodedata.category(c) not in _UNSAFE)


def one_line(text: str, limit: int | None = None) -> str:
    """`clean`, with all white space folded; cut with an ellipsis beyond `limit` characters."""
    folded = " ".join(clean(text).split())
    return folded if limit is None or len(folded) <= limit else folded[: limit - 1] + "…"


def words(text: str) -> frozenset[str]:
    """The set of words of a tip, without case and punctuation."""
    return frozenset(_WORD.findall(text.casefold()))


def overlap(one: frozenset[str], other: frozenset[str]) -> float:
    """Shared words over all words (Jaccard), in 0..1; 1 for two empty sets.

    Unlike a ratio that forgives extra words, a short tip is no copy of a longer one containing it:
    a tip of one common word cannot push the others out.
    """
    if not one and not other:
        return 1.0
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)
