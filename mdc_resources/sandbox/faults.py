"""Faults on demand: which kinds exist, what they take, and when each one fires.

A rule names a provider, a kind, when it fires (``times`` the first n matching requests, ``every``
n-th, or with a ``probability``; once if nothing is said), an optional regular expression searched
in path and query, and parameters of its kind. The first rule that fires wins, in the order they
were set; ``slow`` comes on top of any other. Chance is seeded: the same requests in the same order
meet the same faults. Whatever is not understood is refused with the list of what is.
"""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import Any

from mdc_resources.domain.errors import UsageError

ANY = "*"
_MAX_RULES = 1_000
_FIELDS = ("provider", "kind", "times", "probability", "every", "match", "params")

# kind -> parameter -> default. The default's type is the parameter's type.
_ROWS = {"rows": 1}
KINDS: dict[str, dict[str, Any]] = {
    "status": {"status": 429, "retry_after": "", "retry_after_date": 0, "body": ""},
    "redirect": {"status": 302, "location": "http://127.0.0.1:9/elsewhere"},
    "slow": {"seconds": 1.0},
    "drip": {"bytes": 1, "seconds": 0.1},
    "truncated": {"keep": 0.5},
    "reset": {"after_bytes": 0},
    "html200": {"body": "<!DOCTYPE html><html><body><h1>Sign in</h1></body></html>"},
    "error200": {"body": ""},
    "empty_body": {},
    "truncated_json": {"keep": 0.5},
    "gzip_bomb": {"megabytes": 100},
    "gzip_plain": {},
    "deep_json": {"depth": 1_000_000},
    "null_rows": _ROWS,
    "wrong_symbol": {"symbol": "WRONG.MX"},
    "outside_range": _ROWS,
    "duplicates": _ROWS,
    "conflicting_duplicates": _ROWS,
    "high_lt_low": _ROWS,
    "nan": _ROWS | {"text": "NaN"},
    "negative_volume": _ROWS,
    "unsorted": {},
    "restated": {"factor": "0.98"},
    "missing_rows": _ROWS,
    "extra_field": {},
    "token_loop": {},
}
_LIMITS: dict[str, float] = {
    "seconds": 600, "megabytes": 1024, "depth": 5_000_000, "bytes": 1 << 20, "rows": 100_000, "keep": 1
}  # fmt: skip


@dataclass(slots=True)
class Rule:
    """One fault that was asked for, and how often it was met."""

    id: int
    provider: str
    kind: str
    params: dict[str, Any]
    times: int | None = None
    probability: float | None = None
    every: int | None = None
    match: str = ""
    seen: int = 0
    fired: int = 0
    chance: random.Random = field(default_factory=random.Random, repr=False)

    def fires(self, provider: str, target: str) -> bool:
        """Whether this request meets the fault; counts it as seen and fired."""
        if self.provider not in (ANY, provider) or not re.search(self.match, target):
            return False
        self.seen += 1
        due = True
        if self.every is not None:
            due = self.seen % self.every == 0
        elif self.probability is not None:
            due = self.chance.random() < self.probability
        if self.times is not None and self.fired >= self.times:
            due = False
        self.fired += due
        return due

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON."""
        names = (*_FIELDS, "id", "seen", "fired")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class FaultBook:
    """The rules in force. Safe to use from several threads."""

    def __init__(self, *, seed: int, providers: Sequence[str], paged: Sequence[str]) -> None:
        self._seed = seed
        self._providers = tuple(providers)
        self._paged = frozenset(paged)
        self._rules: list[Rule] = []
        self._made = 0
        self._lock = Lock()

    def add(self, wanted: Mapping[str, Any]) -> Rule:
        """Put a rule in force; raises UsageError where ``wanted`` is not understood."""
        rule = self._parse(wanted)
        with self._lock:
            if len(self._rules) >= _MAX_RULES:
                raise UsageError(
                    f"there are {_MAX_RULES} faults already", hint="DELETE /_sandbox/faults first"
                )
            self._made += 1
            rule.id = self._made
            rule.chance.seed(f"{self._seed}|{rule.id}")
            self._rules.append(rule)
        return rule

    def clear(self) -> int:
        """Lift all faults; returns how many there were."""
        with self._lock:
            count = len(self._rules)
            self._rules.clear()
            self._made = 0
        return count

    def rules(self) -> list[Rule]:
        """The rules in force, in the order they are tried."""
        with self._lock:
            return list(self._rules)

    def met(self, provider: str, target: str) -> tuple[Rule | None, Rule | None]:
        """The delay and the other fault that this request meets, if any."""
        slow = fault = None
        with self._lock:
            for rule in self._rules:
                if rule.kind == "slow":
                    slow = rule if slow is None and rule.fires(provider, target) else slow
                elif fault is None and rule.fires(provider, target):
                    fault = rule
        return slow, fault

    def _parse(self, wanted: Mapping[str, Any]) -> Rule:
        unknown = sorted(set(wanted) - set(_FIELDS))
        if unknown:
            raise UsageError(
                f"a fault has no {', '.join(map(ascii, unknown))}", hint=f"Known: {', '.join(_FIELDS)}"
            )
        provider, kind = wanted.get("provider", ANY), wanted.get("kind")
        if provider != ANY and provider not in self._providers:
            known = ", ".join([ANY, *self._providers])
            raise UsageError(f"{_shown(provider)} is not a provider of the sandbox", hint=f"Known: {known}")
        if not isinstance(kind, str) or kind not in KINDS:
            raise UsageError(f"{_shown(kind)} is not a kind of fault", hint=f"Known: {', '.join(KINDS)}")
        if kind == "token_loop" and not self._paged & ({provider} if provider != ANY else self._paged):
            raise UsageError(f"{provider} has no pages to loop", hint=f"With pages: {', '.join(self._paged)}")
        rule = Rule(
            0,
            provider,
            kind,
            _params(kind, wanted.get("params", {})),
            match=_pattern(wanted.get("match", "")),
        )
        rule.times = _whole(wanted, "times")
        rule.every = _whole(wanted, "every")
        rule.probability = _chance(wanted)
        if rule.every is not None and rule.probability is not None:
            raise UsageError("a fault fires every n-th time or with a probability, not both", hint="Drop one")
        if rule.times is rule.every is rule.probability is None:
            rule.times = 1
        return rule


def _params(kind: str, given: object) -> dict[str, Any]:
    known = KINDS[kind]
    if not isinstance(given, Mapping):
        raise UsageError(
            "params of a fault must be an object", hint=f"{kind} takes: {', '.join(known) or 'none'}"
        )
    for name, value in given.items():
        if name not in known:
            raise UsageError(
                f"{kind} has no parameter {_shown(name)}", hint=f"It takes: {', '.join(known) or 'none'}"
            )
        expected = (int, float) if isinstance(known[name], float) else type(known[name])
        if isinstance(value, bool) or not isinstance(value, expected):
            raise UsageError(f"{kind}.{name} is {_shown(value)}", hint=f"Write it like {known[name]!r}")
        if isinstance(value, int | float) and not 0 <= value <= _LIMITS.get(name, 1e9):
            raise UsageError(
                f"{kind}.{name} is {value}", hint=f"At least 0, at most {_LIMITS.get(name, 1e9):g}"
            )
    if "factor" in given:
        _factor(given["factor"])
    return known | dict(given)


def _factor(text: str) -> None:
    try:
        fine = 0 < Decimal(text) < 1_000_000
    except InvalidOperation:
        fine = False
    if not fine:
        raise UsageError(f"restated.factor is {_shown(text)}", hint="Write a decimal text like '0.98'")


def _pattern(text: object) -> str:
    if not isinstance(text, str) or len(text) > 200:
        raise UsageError("match must be a regular expression of at most 200 characters")
    try:
        re.compile(text)
    except re.error as error:
        raise UsageError(f"match {_shown(text)} is not a regular expression: {error}") from None
    return text


def _whole(wanted: Mapping[str, Any], name: str) -> int | None:
    value = wanted.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
        raise UsageError(f"{name} is {_shown(value)}", hint="Write a whole number, 1 or more")
    return value


def _chance(wanted: Mapping[str, Any]) -> float | None:
    value = wanted.get("probability")
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise UsageError(f"probability is {_shown(value)}", hint="Write a number from 0 to 1")
    return float(value)


def _shown(value: object) -> str:
    return ascii(str(value)[:40])
