"""Every run of every notebook is the same: replay, unattended, without a key."""

from __future__ import annotations

import os

for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "LABKIT_"))]:
    del os.environ[name]
os.environ["LABKIT_MODE"] = "replay"
os.environ["LABKIT_UNATTENDED"] = "1"
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
