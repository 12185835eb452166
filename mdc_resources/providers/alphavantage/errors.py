"""What Alpha Vantage means by a refusal: it has one status (200) and few keys, so the sentence decides.

The burst notice ("1 request per second") also speaks of "25 requests per day", and every notice
advertises "premium plans": the order of the rules below is the meaning. The notices repeat the
caller's key; messages here quote them only with keys cut out.
"""

from __future__ import annotations

from mdc_resources.domain.errors import (
    BadCredentials,
    NotEntitled,
    PayloadError,
    ProviderError,
    QuotaExhausted,
    RateLimited,
    UnknownSymbol,
)
from mdc_resources.domain.requests import HttpResponse
from mdc_resources.providers.decoding.bodies import classify_common, is_html, load_small, refused
from mdc_resources.providers.decoding.quoting import quoted

_NAME = "alphavantage"
_KEYS = ("Note", "Information", "Error Message", "message", "Message")
_SMALL = 4096  # refusals are short; longer bodies are left to the decoder
_BURST_SECONDS = 2.0  # "per second"; other clients of the same address count too
_MINUTE_SECONDS = 60.0


def classify(response: HttpResponse, *, symbol: str = "") -> ProviderError | None:
    """The error in ``response``; None if it can be decoded. ``symbol`` is what was asked for."""
    status, body = response.status, response.body
    if status in (401, 403, 429) or status >= 500:
        return None
    if not body.strip() or is_html(body):
        return classify_common(_NAME, response)
    if sentence := _sentence(body):
        return _meaning(sentence, status, symbol)
    return refused(_NAME, response) if status >= 300 else None


def _sentence(body: bytes) -> str:
    """What a short body says instead of data; empty where it is data.

    A short body that is no JSON object is a sentence too: cut short, it may still name the key.
    """
    if len(body) > _SMALL:
        return ""
    document = load_small(body)
    if not isinstance(document, dict):
        return body.decode("utf-8", "replace")
    return " ".join(str(document[key]) for key in _KEYS if key in document)


def _meaning(sentence: str, status: int, symbol: str) -> ProviderError:
    lower = sentence.lower()
    said = f"alphavantage says {quoted(sentence)}"
    if "per second" in lower or "more sparingly" in lower:
        return RateLimited(said, provider=_NAME, status=status, retry_after=_BURST_SECONDS)
    if "per minute" in lower or "call frequency" in lower:
        return RateLimited(said, provider=_NAME, status=status, retry_after=_MINUTE_SECONDS)
    if "premium endpoint" in lower or "premium feature" in lower:
        return NotEntitled(
            said,
            provider=_NAME,
            status=status,
            hint="A paid plan has it: https://www.alphavantage.co/premium/",
        )
    if "per day" in lower or "rate limit" in lower:
        return QuotaExhausted(said, provider=_NAME, status=status, hint="The day's allowance is used up")
    if "apikey" in lower or "api key" in lower:
        return BadCredentials(said, provider=_NAME, status=status, hint="Check ALPHA_VANTAGE_API_KEY")
    if "invalid api call" in lower:
        return UnknownSymbol(said, symbol=symbol, provider=_NAME, status=status)
    return PayloadError(said, provider=_NAME, status=status)
