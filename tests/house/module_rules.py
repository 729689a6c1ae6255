"""The rules a module of labkit keeps, each a function from its text to complaints."""

import ast
from collections.abc import Iterator
from importlib.util import resolve_name
from types import ModuleType

from tests.house.project import Module

LONGEST_MODULE = 200
LONGEST_FLOW = 30

PURE = (
    "labkit.flow",
    "labkit.gate",
    "labkit.outcome",
    "labkit.layers",
    "labkit.context",
    "labkit.sim",
)
"""Rooms whose code is told the time and the dice, and touches nothing outside itself."""

OUTSIDE = (
    *("time", "sched", "asyncio", "selectors", "select", "socket", "ssl", "signal"),
    *("threading", "multiprocessing", "concurrent", "subprocess", "secrets", "importlib"),
    "sqlite3",
    *("http.client", "http.server", "urllib.request", "httpx", "httpx2", "requests", "anyio"),
)

DOORS = {
    "labkit.layers.spending_file": ("sqlite3", "threading"),  # what survives a crash
    "labkit.layers.ready": ("httpx2",),  # a stream of the SDK has a response
    "labkit.layers.cached": ("httpx2",),  # an error of the SDK has a response
    "labkit.layers.collected": ("httpx2",),  # which also undoes the compression of a stream
    "labkit.layers.cache_store": ("threading",),  # a lock: a store is asked outside of flows too
    "labkit.layers.sqlite_file": ("sqlite3", "threading"),  # asked by `Do`, never by a flow itself
    "labkit.layers.sqlite_store": ("sqlite3", "time"),  # entries live by the time of day
    "labkit.layers.redis_store": ("time",),
    "labkit.context": ("importlib",),  # its names are loaded when they are asked for
    "labkit.context.archive": ("sqlite3", "time"),  # stamps turns with the time of day
    "labkit.context.archive_file": ("sqlite3", "threading"),  # a file shared by threads
    "labkit.context.archive_rows": ("sqlite3",),
    "labkit.context.archive_schema": ("sqlite3",),
    "labkit.sim.core": ("threading",),  # a lock: clients in several threads share one API
    "labkit.sim.transport": ("httpx2",),  # the SDK's side of the wire
    "labkit.sim.serve": ("socket",),  # the server, down to its port
    "labkit.sim.server": ("time",),
    "labkit.sim.server_playing": ("asyncio",),
    "labkit.sim.server_exchange": ("asyncio",),
    "labkit.sim.server_protocol": ("asyncio",),
}
"""The modules of pure rooms that lead outside, and what each of them needs for it."""

WALL_CLOCK = ("datetime.now", "datetime.utcnow", "datetime.today", "date.today")

MAY_KNOW = {
    "labkit.errors": (),
    "labkit.catalog": ("labkit.errors", "labkit.catalog"),
    "labkit.records": (),
    "labkit.outcome": ("labkit.errors", "labkit.records"),
    "labkit.gate": (),
    "labkit.database": (),
    "labkit.flow": ("labkit.errors", "labkit.gate", "labkit.outcome", "labkit.records"),
    "labkit.layers": (
        *("labkit.errors", "labkit.catalog", "labkit.flow", "labkit.layers"),
        *("labkit.pricing", "labkit.usage"),  # a budget reserves and settles in dollars
        "labkit.drivers.Layer",
    ),
    "labkit.context": ("labkit.errors", "labkit.catalog", "labkit.flow", "labkit.context"),
}
KNOWS_MORE = {
    "labkit.layers.trim": ("labkit.context",),  # its policies live in a room of their own
    "labkit.layers.spending_file": ("labkit.database",),  # each of these keeps a file of its own
    "labkit.layers.sqlite_file": ("labkit.database",),
    "labkit.context.archive_file": ("labkit.database",),
    "labkit.context.archive_schema": ("labkit.database",),
}
"""The modules of closed rooms that know one room more, and what each of them needs it for."""
MUST_NOT_KNOW = {"labkit.sim": ("labkit.layers",)}
KNOWS_LAB = ("labkit.lab", "labkit.cli")
"""Besides notebooks, exercises, the modules of the command line, `labkit.cli_...`, and the front
door, which names what a lesson imports and loads it when it is asked for."""


def within(name: str, rooms: tuple[str, ...]) -> bool:
    """Say whether a dotted name is one of the rooms or lies in one."""
    return any(name == room or name.startswith(f"{room}.") for room in rooms)


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """Find the line and the full name of everything imported, at any depth of the module."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), module.package)
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def impurities(module: Module) -> list[str]:
    """Find imports of clocks, sockets and event loops, readings of the wall clock, global dice."""
    if not within(module.name, PURE):
        return []
    imported = list(imports(module))
    bound = {name.rpartition(".")[2] for _, name in imported}
    used = [
        (node.lineno, ast.unparse(node))
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and _root(node) in bound
    ]
    allowed = DOORS.get(module.name, ())
    return [
        f"line {line}: {name}"
        for line, name in imported + used
        if _leads_outside(name) and not within(name, allowed)
    ]


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return ast.unparse(node)


def _leads_outside(name: str) -> bool:
    global_dice = name.startswith("random.") and name != "random.Random"
    return global_dice or name.endswith(WALL_CLOCK) or within(name, OUTSIDE)


def wrong_arrows(module: Module) -> list[str]:
    """Find imports of labkit's own modules that point the wrong way."""
    rooms = [room for room in (*MAY_KNOW, *MUST_NOT_KNOW) if within(module.name, (room,))]
    found = []
    for line, name in imports(module):
        if not within(name, ("labkit",)):
            continue
        wrong = within(name, ("labkit.lab",)) and not _knows_lab(module.name)
        for room in rooms:
            wrong |= within(name, MUST_NOT_KNOW.get(room, ()))
            known = MAY_KNOW.get(room, ("labkit",)) + KNOWS_MORE.get(module.name, ())
            wrong |= not within(name, known)
        if wrong:
            found.append(f"line {line}: {module.name} must not know {name}")
    return found


def _knows_lab(name: str) -> bool:
    return name == "labkit" or within(name, KNOWS_LAB) or name.startswith("labkit.cli_")


def excess_lines(module: Module) -> list[str]:
    """Find a module, or a flow in it, over the wall."""
    lines = module.source.count("\n")
    found = [f"{lines} lines in the module"] if lines > LONGEST_MODULE else []
    for node in ast.walk(module.tree):
        if isinstance(node, ast.FunctionDef) and _is_flow(node):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > LONGEST_FLOW:
                found.append(f"line {node.lineno}: {lines} lines in {node.name}")
    return found


def _is_flow(function: ast.FunctionDef) -> bool:
    returns = ast.unparse(function.returns) if function.returns else ""
    return function.name == "flow" or returns.endswith("Flow") or "[Effect" in returns


DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def export_faults(module: Module) -> list[str]:
    """Find missing sentences, a missing `__all__`, and public definitions it leaves out."""
    found = [] if _is_sentence(ast.get_docstring(module.tree)) else ["opens with no sentence"]
    exported = _exported(module.tree)
    body = module.tree.body
    definitions = [node for node in body if isinstance(node, DEFINITIONS)]
    if exported is None and (definitions or (module.is_package and len(body) > 1)):
        found.append("has no __all__")
    for node in definitions:
        if not node.name.startswith("_") and node.name not in (exported or ()):
            found.append(f"line {node.lineno}: {node.name} is public, but not in __all__")
        if node.name in (exported or ()) and not ast.get_docstring(node):
            found.append(f"line {node.lineno}: {node.name} has no docstring")
    return found


def _is_sentence(docstring: str | None) -> bool:
    first = (docstring or "").partition("\n")[0]
    return len(first.split()) > 2 and first.endswith((".", "?", "!"))


def _exported(tree: ast.Module) -> list[str] | None:
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return list(ast.literal_eval(node.value))
    return None


def ghosts(module: ModuleType) -> list[str]:
    """Find names in `__all__` that the module does not have."""
    return [name for name in getattr(module, "__all__", ()) if not hasattr(module, name)]
