"""The rules of every tracked file: no trace of a machine, a registry or a key."""

import re

STORED = ("notebooks/", "exercises/", "cassettes/")
"""Where outputs and recordings are kept."""

REGISTRY = re.compile(r"files\.pythonhosted|pypi\.org/simple|registry\.npmjs\.org")
HOME = re.compile(r"(?<![\w./+-])/(?:home|root|work)/\w|file:///\w")
STORED_PATH = re.compile(r"(?<![\w./+-])/tmp/\w")
KEY = re.compile(r"sk-ant-[\w-]{20}")
STORED_KEY = re.compile(r"sk-ant-[A-Za-z0-9]")


def traces(path: str, text: str) -> list[str]:
    """Find machine paths, registry addresses and keys; recordings are read most strictly."""
    patterns = [REGISTRY, HOME, KEY]
    if path.startswith(STORED):
        patterns += [STORED_PATH, STORED_KEY]
    return [
        f"line {number}: {found.group()}"
        for number, line in enumerate(text.splitlines(), start=1)
        for pattern in patterns
        if (found := pattern.search(line))
    ]
