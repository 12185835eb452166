"""Faults on bytes: an answer that is not what its status, headers or length promise.

:func:`corrupt` alters an answer that is still good HTTP. What breaks HTTP itself (short bodies,
resets, drips) is described by a :class:`Broken` and done on the connection by ``wire``.
"""

from __future__ import annotations

import datetime as dt
import zlib
from dataclasses import dataclass, replace
from email.utils import format_datetime
from functools import lru_cache

from mdc_resources.sandbox.answers import HTML, TEXT, Answer, Dialect
from mdc_resources.sandbox.faults import Rule

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Broken:
    """An answer to send in a way that HTTP does not allow, or too slowly.

    ``kind`` is truncated, reset or drip; ``keep`` the number of body bytes that are sent.
    """

    kind: str
    answer: Answer
    keep: int = 0
    piece: int = 1
    pause_seconds: float = 0.0


def replaces(rule: Rule, dialect: Dialect) -> Answer | None:
    """The answer of a fault that does not even look at the request; None for the other kinds."""
    params = rule.params
    if rule.kind == "status":
        return _status(rule, dialect)
    if rule.kind == "redirect":
        return Answer(params["status"], b"", TEXT, {"location": params["location"]})
    if rule.kind == "html200":
        return Answer(200, params["body"].encode(), HTML)
    if rule.kind == "error200":
        return Answer(200, params["body"].encode(), TEXT) if params["body"] else dialect.hidden_error()
    if rule.kind == "deep_json":
        return Answer(200, b"[" * params["depth"] + b"]" * params["depth"])
    return None


def corrupt(answer: Answer, rule: Rule) -> Answer | Broken:
    """``answer`` with the fault of ``rule``; unchanged where the kind is none of bytes."""
    params, body = rule.params, answer.body
    if rule.kind == "empty_body":
        return replace(answer, body=b"")
    if rule.kind == "truncated_json":
        return replace(answer, body=body[: int(len(body) * params["keep"])])
    if rule.kind == "gzip_bomb":
        return _encoded(answer, _bomb(params["megabytes"]))
    if rule.kind == "gzip_plain":
        return _encoded(answer, body)
    if rule.kind == "truncated":
        return Broken("truncated", answer, keep=min(int(len(body) * params["keep"]), max(len(body) - 1, 0)))
    if rule.kind == "reset":
        return Broken("reset", answer, keep=params["after_bytes"])
    if rule.kind == "drip":
        return Broken("drip", answer, piece=max(params["bytes"], 1), pause_seconds=params["seconds"])
    return answer


def _status(rule: Rule, dialect: Dialect) -> Answer:
    params = rule.params
    answer = dialect.failure(params["status"])
    if params["body"]:
        answer = replace(answer, body=params["body"].encode())
    headers = dict(answer.headers)
    if params["retry_after"]:
        headers["retry-after"] = params["retry_after"]
    elif params["retry_after_date"]:
        at = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=params["retry_after_date"])
        headers["retry-after"] = format_datetime(at, usegmt=True)
    return replace(answer, headers=headers)


def _encoded(answer: Answer, body: bytes) -> Answer:
    return replace(answer, body=body, headers={**answer.headers, "content-encoding": "gzip"})


@lru_cache(maxsize=4)
def _bomb(megabytes: int) -> bytes:
    """A small gzip body of ``megabytes`` of JSON whitespace inside an array."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    parts = [packer.compress(b"[")]
    blank = b" " * _MEGABYTE
    parts += [packer.compress(blank) for _ in range(megabytes)]
    parts += [packer.compress(b"]"), packer.flush()]
    return b"".join(parts)
