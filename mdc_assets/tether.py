"""Start a command that dies with its parent: ``python -m mdc_assets.tether PARENT_PID COMMAND ...``.

A supervisor that is killed must not leave servers behind. Linux delivers PR_SET_PDEATHSIG; where it
does not exist the command just runs. Replaces itself by the command, so its pid is the command's.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def main(arguments: list[str]) -> None:
    """Tie this process to ``arguments[0]``, then become ``arguments[1:]``."""
    parent, command = int(arguments[0]), arguments[1:]
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if os.getppid() != parent:  # it died before the line above
            sys.exit(1)
    os.execv(command[0], command)  # noqa: S606  the supervisor chose the command


if __name__ == "__main__":
    main(sys.argv[1:])
