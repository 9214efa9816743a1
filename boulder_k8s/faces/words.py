"""What several tasks take: the words behind two dashes, the flags of what starts Boulder."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ..commands import arguments
from ..commands.arguments import Options
from ..manifests.overrides import Overrides


def after_dashes() -> list[str]:
    """The words after `--` as the shell gave them; invoke itself would join them. commands/typed.py puts `--` where nobody typed it."""
    return sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []


def options(
    next: bool, timeout: str = "", fake_dns: str = "", add_host: Sequence[str] = (), config_overlay: str = ""
) -> Options:
    """What the flags say, and the environment for those that are not given. Raises Problem if a value is invalid."""
    overrides = Overrides.read(os.environ, fake_dns, add_host, config_overlay)
    return Options(next, arguments.timeout(timeout), os.environ, overrides)
