"""The transport's side of circuit breakers: when to ask the shared state, and what counts.

Failures are silence, 5xx, 429 and bodies that cannot be what was asked for; any other answer
shows a vendor that works. In good weather a request costs two reads of the state and no write.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from mdc_resources.config import TransportSettings
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import CircuitOpen, PayloadError, ProviderError, RateLimited, TransportError
from mdc_resources.state import State, Verdict
from mdc_resources.telemetry import get_logger
from mdc_resources.telemetry.metrics import BREAKER_OPENED

MAX_HOLD_SECONDS = 900.0


def is_failure(error: ProviderError | None) -> bool:
    """True if ``error`` says that the vendor does not work; a refusal shows one that does."""
    return isinstance(error, TransportError | RateLimited | PayloadError)


@dataclass(frozen=True, slots=True)
class Guard:
    """The breaker of one (provider, dataset)."""

    state: State
    settings: TransportSettings
    provider: str
    dataset: Dataset

    def refuse_if_open(self) -> None:
        """Raise CircuitOpen while nothing may be sent; takes no probe's place. One read."""
        found = self.state.breaker(self.provider, self.dataset)
        if time.time() < max(found.open_until, found.probe_until):
            raise self._open(found.reason, found.open_until)

    def enter(self) -> None:
        """Raise CircuitOpen unless this request may go out now, as the probe if it must be one."""
        if self.state.breaker(self.provider, self.dataset).open_until == 0.0:
            return
        probe_seconds = self.settings.deadline_seconds
        if self.state.admit(self.provider, self.dataset, probe_seconds=probe_seconds) is Verdict.REFUSE:
            found = self.state.breaker(self.provider, self.dataset)
            raise self._open(found.reason, found.open_until)

    def leave(self, error: ProviderError | None, *, asked_to_wait: float | None = None) -> bool:
        """Record how the request ended; True if the breaker is open after it."""
        if not is_failure(error):
            if not self.state.breaker(self.provider, self.dataset).is_clean:
                self.state.request_succeeded(self.provider, self.dataset)
            return False
        hold = 0.0
        if asked_to_wait is not None and asked_to_wait > self.settings.max_retry_after_seconds:
            hold = min(asked_to_wait, MAX_HOLD_SECONDS)
        after = self.state.request_failed(
            self.provider,
            self.dataset,
            reason=str(error),
            threshold=self.settings.breaker_failures,
            open_seconds=self.settings.breaker_open_seconds,
            hold_seconds=hold,
        )
        if after.just_opened:
            BREAKER_OPENED.labels(self.provider, self.dataset.value).inc()
            get_logger().warning(
                "breaker.open", provider=self.provider, dataset=self.dataset.value, reason=str(error)
            )
        return after.is_open

    def _open(self, reason: str, until: float) -> CircuitOpen:
        wait = max(0.0, until - time.time())
        return CircuitOpen(
            f"{self.provider}: not asked for {self.dataset} for another {wait:.0f} s after repeated failures "
            f"(last: {reason})",
            provider=self.provider,
        )
