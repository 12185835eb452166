"""Logs: one line an event, on standard error, without secrets and unforgeable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from mdc_resources.telemetry import get_logger, register_secret, setup_logging


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()


def _event(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    (line,) = capsys.readouterr().err.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def test_an_event_is_a_name_plus_fields(capsys: pytest.CaptureFixture[str]) -> None:
    """JSON logs carry the fields with their types, a level and a UTC time."""
    setup_logging(json=True)
    get_logger().info("batch.committed", rows=390, seconds=0.5, ok=True, symbols=["A", "B"], nothing=None)
    event = _event(capsys)
    assert event["event"] == "batch.committed"
    assert (event["rows"], event["seconds"], event["ok"], event["nothing"]) == (390, 0.5, True, None)
    assert event["symbols"] == ["A", "B"]
    assert event["level"] == "info"
    assert event["timestamp"].endswith("Z")


def test_secrets_are_masked_by_value_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """In texts, nested values, URLs and exceptions."""
    register_secret("SEKRET_in_a_log")
    setup_logging(json=True)
    try:
        raise ValueError("key SEKRET_in_a_log refused")
    except ValueError:
        get_logger().exception(
            "SEKRET_in_a_log", nested={"list": ["SEKRET_in_a_log"]}, password="hunter2", token=12345
        )
    text = json.dumps(_event(capsys))
    assert "SEKRET" not in text
    assert "hunter2" not in text
    assert "12345" not in text
    assert "ValueError" in text


@pytest.mark.parametrize("json_lines", [True, False], ids=["json", "console"])
@pytest.mark.parametrize(
    "hostile", ["A\nlevel=error forged", "A\r\nB", "\x1b[2J\x1b[31m", "\x9b31m", "a\u2028b\0"], ids=ascii
)
def test_a_value_cannot_forge_a_line(
    capsys: pytest.CaptureFixture[str], hostile: str, json_lines: bool
) -> None:
    """Line ends, ANSI and other controls in any value or name are escaped."""
    setup_logging(json=json_lines)
    get_logger().warning("symbol.refused", symbol=hostile, x={hostile: hostile})
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert not any(c < " " or 0x7F <= ord(c) < 0xA0 for c in said.rstrip("\n"))


def test_a_traceback_cannot_forge_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Tracebacks keep their lines, each indented, so none begins like an event."""
    setup_logging(json=False)
    try:
        raise ValueError("x\n2026-11-20T00:00:00Z [info] forged\x1b[2J")
    except ValueError:
        get_logger().exception("it.failed")
    first, *rest = capsys.readouterr().err.splitlines()
    assert "it.failed" in first
    assert any("forged" in line for line in rest)
    assert not any(line.startswith("2026") or "\x1b" in line for line in rest)


def test_standard_output_is_never_used(capsys: pytest.CaptureFixture[str]) -> None:
    """Also before anybody has configured logging: ``--json`` output stays clean."""
    structlog.reset_defaults()
    get_logger().info("quiet by default")
    get_logger().warning("but not mute")
    said = capsys.readouterr()
    assert said.out == ""
    assert "but not mute" in said.err
    assert "quiet by default" not in said.err


def test_the_level_is_a_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Events below the level cost nothing and write nothing."""
    setup_logging(level="error")
    get_logger().warning("below")
    assert capsys.readouterr().err == ""
