"""The vendors' dialects, one module each, written from their documents and recorded answers."""

from __future__ import annotations

from collections.abc import Mapping

from mdc_resources.sandbox.answers import Dialect
from mdc_resources.sandbox.dialects.alpaca import Alpaca
from mdc_resources.sandbox.dialects.stooq import Stooq
from mdc_resources.sandbox.dialects.yahoo import Yahoo
from mdc_resources.sandbox.market import Market


def all_dialects(market: Market, *, alpaca_keys: Mapping[str, str] | None = None) -> dict[str, Dialect]:
    """Every dialect over ``market``, by the provider's name. Without ``alpaca_keys`` any pair will do."""
    dialects: tuple[Dialect, ...] = (Yahoo(market), Stooq(market), Alpaca(market, keys=alpaca_keys))
    return {dialect.name: dialect for dialect in dialects}
