"""Counters of the transport, in the default Prometheus registry. Labels are few and bounded."""

from __future__ import annotations

from prometheus_client import Counter

REQUESTS = Counter("mdc_http_requests", "HTTP requests sent, by outcome", ["provider", "outcome"])
BODY_BYTES = Counter("mdc_http_body_bytes", "Decoded bytes received", ["provider"])
RETRIES = Counter("mdc_http_retries", "Requests sent again after a failure", ["provider"])
BREAKER_OPENED = Counter("mdc_breaker_opened", "Circuit breakers opened", ["provider", "dataset"])
