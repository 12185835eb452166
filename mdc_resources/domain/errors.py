"""Every error the archive raises on purpose, and what may be done about it.

    MdcError
    ├── UsageError               what a person typed: symbol, date, option          (exit 2)
    │   └── ConfigError          a key of mdc.toml or the environment               (exit 2)
    ├── ProviderError            a vendor answered wrongly, or not at all           (exit 3)
    │   ├── TransportError       no usable answer: timeout, refused, reset, 5xx     RETRY
    │   ├── RateLimited          429 and its disguises, with ``retry_after``        RETRY
    │   ├── QuotaExhausted       the day's allowance or the plan is used up         FAIL_OVER
    │   ├── NotEntitled          the plan does not include this                     FAIL_OVER
    │   ├── OutOfRange           the provider does not go back (or up) to there     FAIL_OVER
    │   ├── UnknownSymbol        a fact about one (provider, symbol) pair           SKIP
    │   ├── BadCredentials       401, 403: no more requests to this provider        ABORT
    │   ├── PayloadError         the body is not what the dialect promises          FAIL_OVER
    │   ├── SyntheticData        a sandbox's answer, offered to a lake of real data ABORT
    │   └── CircuitOpen          the breaker is open; nothing was sent              FAIL_OVER
    ├── DataError                rows that cannot be stored as they are             (exit 4)
    └── LakeError                the lake refused                                   (exit 5)
        ├── LakeMarkerMissing    not mounted, moved or wrong: never "all missing"
        ├── LakeBusy             the commit lock was not free in time
        ├── FencedOut            a newer attempt owns these partitions
        ├── ClockJumped          the wall clock cannot be trusted: nothing is due, nothing expires
        └── StorageFailed        write, fsync or disk space: fatal, never retried   ABORT

A message says what was wrong, what was received and what to do. Messages never contain a secret:
URLs are masked before they are put into one.
"""

from __future__ import annotations

from enum import StrEnum


class Disposition(StrEnum):
    """What the caller may do next."""

    RETRY = "retry"
    FAIL_OVER = "fail_over"
    SKIP = "skip"
    ABORT = "abort"


class ExitCode:
    """Exit codes of the ``mdc`` command."""

    OK = 0
    FINDINGS = 1
    USAGE = 2
    PROVIDER = 3
    DATA = 4
    LAKE = 5
    INTERRUPTED = 130  # as a shell reports Ctrl-C


class MdcError(Exception):
    """Base of all deliberate errors. ``hint`` says what to do; it is part of ``str(error)``."""

    disposition = Disposition.ABORT
    exit_code = ExitCode.FINDINGS

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = message
        self.hint = hint
        super().__init__(message)

    def __str__(self) -> str:
        return f"{self.message}. {self.hint}" if self.hint else self.message


class UsageError(MdcError):
    """A person's input cannot be used."""

    exit_code = ExitCode.USAGE


class ConfigError(UsageError):
    """A setting is unknown, missing or of the wrong type. ``key`` is its dotted path."""

    def __init__(self, message: str, *, key: str = "", hint: str = "") -> None:
        self.key = key
        super().__init__(message, hint=hint)


class ProviderError(MdcError):
    """A vendor's answer (or silence). ``status`` is the HTTP status where there was one."""

    disposition = Disposition.FAIL_OVER
    exit_code = ExitCode.PROVIDER

    def __init__(
        self, message: str, *, provider: str = "", status: int | None = None, hint: str = ""
    ) -> None:
        self.provider = provider
        self.status = status
        super().__init__(message, hint=hint)


class TransportError(ProviderError):
    """No usable answer: timeout, DNS, refused, reset, truncated or 5xx."""

    disposition = Disposition.RETRY


class RateLimited(ProviderError):
    """Too many requests. ``retry_after`` is seconds to wait, or None where none was said."""

    disposition = Disposition.RETRY

    def __init__(
        self,
        message: str,
        *,
        provider: str = "",
        status: int | None = None,
        retry_after: float | None = None,
        hint: str = "",
    ) -> None:
        self.retry_after = retry_after
        super().__init__(message, provider=provider, status=status, hint=hint)


class QuotaExhausted(ProviderError):
    """The allowance of the day (or plan) is used up; asking again today is pointless."""


class NotEntitled(ProviderError):
    """The plan behind the key does not include what was asked."""


class OutOfRange(ProviderError):
    """The provider's history does not reach the range."""


class UnknownSymbol(ProviderError):
    """The provider does not know ``symbol``. Says nothing about other providers."""

    disposition = Disposition.SKIP

    def __init__(
        self,
        message: str,
        *,
        symbol: str,
        provider: str = "",
        status: int | None = None,
        hint: str = "",
    ) -> None:
        self.symbol = symbol
        super().__init__(message, provider=provider, status=status, hint=hint)


class BadCredentials(ProviderError):
    """The key is missing, wrong, expired or revoked."""

    disposition = Disposition.ABORT


class PayloadError(ProviderError):
    """The body is not what the dialect promises: HTML, truncated, too large, another symbol."""


class SyntheticData(ProviderError):
    """A sandbox answered, and the lake is for real data."""

    disposition = Disposition.ABORT


class CircuitOpen(ProviderError):
    """The breaker of (provider, dataset) is open; nothing was sent."""


class DataError(MdcError):
    """Rows that cannot be stored as they are."""

    exit_code = ExitCode.DATA


class LakeError(MdcError):
    """The lake refused."""

    exit_code = ExitCode.LAKE


class LakeMarkerMissing(LakeError):
    """The lake's root has no marker, or another lake's: unmounted, moved or mistaken."""


class LakeBusy(LakeError):
    """The commit lock was not free in time."""

    disposition = Disposition.RETRY


class FencedOut(LakeError):
    """A newer attempt has claimed these partitions: this writer is a zombie and must stop."""


class ClockJumped(LakeError):
    """The wall clock moved in a way that time does not. ``seconds`` is how far, positive is ahead."""

    def __init__(self, message: str, *, seconds: float = 0.0, hint: str = "") -> None:
        self.seconds = seconds
        super().__init__(message, hint=hint)


class StorageFailed(LakeError):
    """write, fsync, rename or space failed. A failed fsync is fatal and never retried."""
