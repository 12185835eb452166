"""Logs: an event name plus fields, to standard error, as JSON or for a console.

One processor masks secrets and escapes CR, LF and other control characters in every value, so a
symbol or a vendor's message cannot forge a line or colour a terminal. Standard output belongs to
the command's own answer and is never written to.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from mdc_resources.telemetry.masking import MASK, is_secret_name, mask_text

_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    0x0A: "\\n",
    0x0D: "\\r",
    0x09: "\\t",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}
_LINES_KEPT = {code: text for code, text in _CONTROLS.items() if code != 0x0A}


def setup_logging(*, json: bool = False, level: str = "INFO") -> None:
    """Configure logging of this process; the last call wins."""
    quiet_libraries()
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Before masking: a traceback is text like any other.
            structlog.processors.format_exc_info,
            clean,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=_to_stderr,
        cache_logger_on_first_use=False,
    )


def get_logger() -> Any:
    """A logger; sets logging up with defaults if nobody has."""
    if not structlog.is_configured():
        setup_logging(level="WARNING")
    return structlog.get_logger()


def quiet_libraries() -> None:
    """Silence loggers that write whole URLs and headers, credentials included."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)


def clean(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Structlog processor: mask secrets and escape control characters in every value."""
    return {
        _escaped(str(name)): _traceback(value) if name == "exception" else _cleaned(str(name), value)
        for name, value in event.items()
    }


def _cleaned(name: str, value: Any) -> Any:
    if is_secret_name(name):
        return MASK
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {_escaped(str(k)): _cleaned(str(k), v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_cleaned("", item) for item in value]
    return _escaped(str(value))


def _escaped(text: str) -> str:
    return mask_text(text).translate(_CONTROLS)


def _traceback(value: Any) -> str:
    """Line ends stay, indented: no line of it can pass for a log line."""
    return mask_text(str(value)).translate(_LINES_KEPT).replace("\n", "\n    ")


def _to_stderr(*_: object) -> structlog.PrintLogger:
    """Looked up per call: a test or a progress bar may have replaced the stream."""
    return structlog.PrintLogger(sys.stderr)
