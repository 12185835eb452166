"""How a command ends when something goes wrong.

A deliberate error is one line, a hint and the exit code of its class. Anything else is a defect:
its traceback goes to a private log file that the message names, with secrets masked, and the exit
code is 70.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path

import typer

from mdc_resources.cli.context import Invocation, looks_secret
from mdc_resources.domain.errors import ExitCode, MdcError

DEFECT = 70
_STORAGE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS})
_URL_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]+@")


def report(error: Exception, invocation: Invocation | None) -> int:
    """Say what went wrong on stderr and return the exit code; typer's own errors pass through."""
    if isinstance(error, typer.Exit | typer.Abort | typer.TyperException | BrokenPipeError):
        raise error
    if isinstance(error, MdcError):
        print(f"error: {one_line(error.message)}", file=sys.stderr)
        if error.hint:
            print(f"  {one_line(error.hint)}", file=sys.stderr)
        return error.exit_code
    if isinstance(error, OSError) and error.errno is not None:
        where = f": {error.filename}" if error.filename else ""
        print(f"error: {one_line(str(error.strerror))}{one_line(where)}", file=sys.stderr)
        return ExitCode.LAKE if error.errno in _STORAGE else ExitCode.USAGE
    path = _log(error, invocation)
    print(
        f"error: unexpected {type(error).__name__}, this is a defect of mdc. Details: {path}", file=sys.stderr
    )
    return DEFECT


def one_line(text: str) -> str:
    """``text`` without control characters, so that input cannot forge lines or colours."""
    return "".join(c if c.isprintable() else " " if c in "\n\t" else ascii(c)[1:-1] for c in text).strip()


def masked(text: str) -> str:
    """``text`` without passwords in URLs and without the values of secret-looking variables."""
    from mdc_resources.telemetry import masking

    for name, value in os.environ.items():
        if looks_secret(name):
            masking.register_secret(value)
    return masking.mask_text(_URL_PASSWORD.sub(r"\1:***@", text))


def _log(error: Exception, invocation: Invocation | None) -> Path:
    import datetime as dt
    import tempfile
    import traceback

    home = invocation.opened if invocation else None
    folder = home.state_dir if home and home.state_dir.is_dir() else Path(tempfile.gettempdir())
    stamp = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%S")
    path = folder / f"mdc-defect-{stamp}-{os.getpid()}.log"
    text = masked("".join(traceback.format_exception(error)))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as log:
        log.write(text)
    return path
