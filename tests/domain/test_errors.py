"""The tree of errors."""

from __future__ import annotations

import inspect

from mdc_resources.domain import errors


def test_docstring_shows_every_class() -> None:
    """The tree in the module's docstring names each error, so that it can be read instead of the code."""
    classes = [n for n, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.MdcError)]
    assert [name for name in classes if name not in (errors.__doc__ or "")] == []


def test_hint_is_part_of_the_message() -> None:
    """What to do follows what was wrong."""
    assert str(errors.UsageError("x is wrong", hint="Use y")) == "x is wrong. Use y"
    assert str(errors.UsageError("x is wrong")) == "x is wrong"
