"""Every run of every notebook is the same: replay, unattended, without a key."""

from __future__ import annotations

import os

from hypothesis import settings

# A shared, busy machine is slow now and then; how long an example takes is not what is tested.
settings.register_profile("labkit", deadline=None)
settings.load_profile("labkit")

for name in [name for name in os.environ if name.startswith(("ANTHROPIC_", "LABKIT_"))]:
    del os.environ[name]
os.environ["LABKIT_MODE"] = "replay"
os.environ["LABKIT_UNATTENDED"] = "1"
os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
