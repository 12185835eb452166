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
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from threading import Lock
from typing import Any

from mdc_resources.domain.errors import UsageError
from mdc_resources.sandbox.live import kinds
from mdc_resources.sandbox.live.kinds import LIVE_KINDS

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
    "seconds": 600, "megabytes": 1024, "depth": 5_000_000, "bytes": 1 << 26, "rows": 100_000, "keep": 1,
    "after_seconds": 86_400, "copies": 1_000, "factor": 1_000,
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
    passed: int = 0  # matching messages before it came into force
    since: float = field(default_factory=time.monotonic, repr=False)
    chance: random.Random = field(default_factory=random.Random, repr=False)

    def matches(self, provider: str, target: str) -> bool:
        """Whether this request is one that the rule is for."""
        return self.provider in (ANY, provider) and re.search(self.match, target) is not None

    def fires(self, provider: str, target: str) -> bool:
        """Whether this request meets the fault; counts it as seen and fired."""
        if not self.matches(provider, target) or not self._in_force():
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

    def _in_force(self) -> bool:
        waits = self.passed < self.params.get("after", 0)
        self.passed += waits
        return not waits and time.monotonic() - self.since >= self.params.get("after_seconds", 0.0)

    def as_dict(self) -> dict[str, Any]:
        """The rule as JSON."""
        names = (*_FIELDS, "id", "seen", "fired")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


class FaultBook:
    """The rules in force. Safe to use from several threads."""

    def __init__(
        self, *, seed: int, providers: Sequence[str], paged: Sequence[str], feeds: Sequence[str] = ()
    ) -> None:
        self._seed = seed
        self._providers = tuple(providers)
        self._feeds = tuple(feeds)
        self._live = False  # any rule for live connections: most messages need not look
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
            self._live |= rule.kind in LIVE_KINDS
        return rule

    def clear(self) -> int:
        """Lift all faults; returns how many there were."""
        with self._lock:
            count = len(self._rules)
            self._rules.clear()
            self._made = 0
            self._live = False
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
                if rule.kind in LIVE_KINDS:
                    continue
                if rule.kind == "slow":
                    slow = rule if slow is None and rule.fires(provider, target) else slow
                elif fault is None and rule.fires(provider, target):
                    fault = rule
        return slow, fault

    def met_live(self, feed: str, target: str) -> tuple[Rule | None, Rule | None]:
        """The delay and the other fault that a message of a live connection meets, if any."""
        slow = fault = None
        if not self._live:
            return None, None
        with self._lock:
            for rule in self._rules:
                if rule.kind not in LIVE_KINDS or rule.kind in kinds.UPFRONT:
                    continue
                if rule.kind == "ws_slow":
                    slow = rule if slow is None and rule.fires(feed, target) else slow
                elif fault is None and rule.fires(feed, target):
                    fault = rule
        return slow, fault

    def refuses(self, feed: str, kind: str, target: str) -> Rule | None:
        """The fault of ``kind`` (of the handshake) that ``target`` meets, if any."""
        with self._lock:
            return next(
                (rule for rule in self._rules if rule.kind == kind and rule.fires(feed, target)), None
            )

    def _parse(self, wanted: Mapping[str, Any]) -> Rule:
        unknown = sorted(set(wanted) - set(_FIELDS))
        if unknown:
            raise UsageError(
                f"a fault has no {', '.join(map(ascii, unknown))}", hint=f"Known: {', '.join(_FIELDS)}"
            )
        provider, kind = wanted.get("provider", ANY), wanted.get("kind")
        if not isinstance(kind, str) or kind not in KINDS | LIVE_KINDS:
            known = ", ".join(KINDS | LIVE_KINDS)
            raise UsageError(f"{_shown(kind)} is not a kind of fault", hint=f"Known: {known}")
        names = self._feeds if kind in LIVE_KINDS else self._providers
        if provider != ANY and provider not in names:
            known = ", ".join([ANY, *names])
            what = "live feed" if kind in LIVE_KINDS else "provider"
            raise UsageError(f"{_shown(provider)} is not a {what} of the sandbox", hint=f"Known: {known}")
        if provider != ANY and provider not in kinds.ONLY.get(kind, names):
            known = ", ".join(sorted(kinds.ONLY[kind]))
            raise UsageError(f"{provider} has nothing for {kind} to act on", hint=f"Feeds that have: {known}")
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
    known = (KINDS | LIVE_KINDS)[kind]
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
    if kind == "restated" and "factor" in given:
        _factor(given["factor"])
    if kind in LIVE_KINDS:
        kinds.check(kind, given)
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
