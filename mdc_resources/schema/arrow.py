"""One Arrow schema per dataset: the only shapes that decoders emit and the lake stores.

Prices are ``decimal128(18, 9)``, sizes and volumes ``decimal128(28, 8)``; neither ever passes
through float. Statistics (VWAP) are doubles. ``ts`` is the start of a bar's interval, UTC; for a
daily bar the session's open. Tick times are integer nanoseconds. Every row carries ``symbol``,
``session`` (the exchange's date) and ``source`` (provider/feed). Field docs travel in the metadata.
"""

from __future__ import annotations

import pyarrow as pa

from mdc_resources.domain.datasets import Dataset

VERSION = 1
PRICE = pa.decimal128(18, 9)
SIZE = pa.decimal128(28, 8)
INSTANT = pa.timestamp("us", tz="UTC")


def _field(name: str, kind: pa.DataType, doc: str, *, nullable: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=nullable, metadata={b"doc": doc.encode()})


_KEY = (
    _field("symbol", pa.string(), "canonical symbol"),
    _field("session", pa.date32(), "the exchange's trading date"),
)
_SOURCE = _field("source", pa.string(), "provider or provider/feed; sandbox:... in a sandbox lake")


def _schema(*fields: pa.Field) -> pa.Schema:
    return pa.schema([*_KEY, *fields, _SOURCE], metadata={b"mdc.schema_version": str(VERSION).encode()})


BARS = _schema(
    _field("ts", INSTANT, "start of the interval, UTC; a daily bar carries the session's open"),
    _field("open", PRICE, "first price"),
    _field("high", PRICE, "highest price"),
    _field("low", PRICE, "lowest price"),
    _field("close", PRICE, "last price"),
    _field("volume", SIZE, "shares or coins", nullable=True),
    _field("trade_count", pa.int64(), "trades in the interval", nullable=True),
    _field("vwap", pa.float64(), "volume-weighted average price, a statistic", nullable=True),
    _field("basis", pa.string(), "raw, split or split+dividend: what the prices mean"),
    _field("basis_asof", pa.date32(), "date of the fetch: adjustments known that day"),
    _field("exact", pa.bool_(), "false where a derived number was rounded to fit"),
)
CORPORATE_ACTIONS = _schema(
    _field("kind", pa.string(), "split, dividend, rename or delisting"),
    _field("ex_date", pa.date32(), "first session that trades without it"),
    _field("ratio_to", pa.int64(), "split: new shares", nullable=True),
    _field("ratio_from", pa.int64(), "split: for so many old ones", nullable=True),
    _field("amount", PRICE, "dividend: cash per share, on the basis given", nullable=True),
    _field("currency", pa.string(), "of the amount, ISO 4217", nullable=True),
    _field("successor", pa.string(), "rename: the symbol from ex_date on", nullable=True),
    _field("basis", pa.string(), "raw, or split where the source restates amounts by later splits"),
    _field("known_at", INSTANT, "when this archive learned of it, UTC"),
    _field("exact", pa.bool_(), "false where a derived number was rounded to fit"),
)
INSTRUMENTS = _schema(
    _field("name", pa.string(), "the vendor's name of the instrument", nullable=True),
    _field("instrument_type", pa.string(), "the vendor's type, lower case", nullable=True),
    _field("currency", pa.string(), "trading currency, ISO 4217", nullable=True),
    _field("venue", pa.string(), "the vendor's primary venue code", nullable=True),
    _field("timezone", pa.string(), "IANA zone of the venue", nullable=True),
    _field("first_trade", pa.date32(), "first trade date the vendor knows", nullable=True),
)
_TICK = (
    _field("ts_event", pa.int64(), "when it happened at the venue, nanoseconds since 1970, UTC"),
    _field("ts_recv", pa.int64(), "when it was captured, nanoseconds; null in history", nullable=True),
    _field("ordinal", pa.int64(), "position in the order of the payload or the capture, from 0"),
)
TRADES = _schema(
    *_TICK,
    _field("price", PRICE, "as traded"),
    _field("size", SIZE, "shares or coins"),
    _field("side", pa.string(), "buy or sell: what the taker did, where the feed says it", nullable=True),
    _field("venue", pa.string(), "the feed's code of the exchange", nullable=True),
    _field("trade_id", pa.string(), "the feed's identity of the trade within the venue", nullable=True),
    _field("conditions", pa.string(), "the feed's condition codes, joined by commas", nullable=True),
    _field("tape", pa.string(), "the feed's tape: A, B, C or 1, 2, 3", nullable=True),
    _field("sequence", pa.int64(), "the feed's sequence number", nullable=True),
    _field("correction", pa.string(), "canceled, corrected ...: not valid; null: valid", nullable=True),
)  # fmt: skip
QUOTES = _schema(
    *_TICK,
    _field("bid_price", PRICE, "best bid; 0 where there is none"),
    _field("bid_size", SIZE, "shares or coins at the bid"),
    _field("ask_price", PRICE, "best ask; 0 where there is none"),
    _field("ask_size", SIZE, "shares or coins at the ask"),
    _field("bid_venue", pa.string(), "the feed's code of the bidding exchange", nullable=True),
    _field("ask_venue", pa.string(), "the feed's code of the asking exchange", nullable=True),
    _field("conditions", pa.string(), "the feed's condition codes, joined by commas", nullable=True),
    _field("tape", pa.string(), "the feed's tape: A, B, C or 1, 2, 3", nullable=True),
    _field("sequence", pa.int64(), "the feed's sequence number", nullable=True),
)
DEPTH = _schema(
    *_TICK,
    _field("side", pa.string(), "bid or ask; null where the row is about the whole book", nullable=True),
    _field("price", PRICE, "of the level", nullable=True),
    _field("size", SIZE, "what the level now holds, absolute", nullable=True),
    _field("action", pa.string(), "snapshot_begin (the book is empty from here), set, delete or invalid"),
    _field("sequence", pa.int64(), "the feed's number of the update", nullable=True),
)

SCHEMAS: dict[Dataset, pa.Schema] = {
    Dataset.BARS_1D: BARS,
    Dataset.BARS_1M: BARS,
    Dataset.TRADES: TRADES,
    Dataset.QUOTES: QUOTES,
    Dataset.DEPTH: DEPTH,
    Dataset.CORPORATE_ACTIONS: CORPORATE_ACTIONS,
    Dataset.INSTRUMENTS: INSTRUMENTS,
}
# What identifies a row inside its partition, and the order rows are stored in.
ROW_KEYS: dict[Dataset, tuple[str, ...]] = {
    Dataset.BARS_1D: ("symbol", "session"),
    Dataset.BARS_1M: ("symbol", "ts"),
    Dataset.TRADES: ("symbol", "ts_event", "ordinal"),
    Dataset.QUOTES: ("symbol", "ts_event", "ordinal"),
    Dataset.DEPTH: ("symbol", "session", "ordinal"),
    Dataset.CORPORATE_ACTIONS: ("symbol", "ex_date", "kind"),
    Dataset.INSTRUMENTS: ("symbol", "session"),
}
# Columns that say when and from where, not what: left out of fingerprints.
PROVENANCE = frozenset({"source", "basis_asof", "known_at", "ts_recv", "ordinal"})


def schema_of(dataset: Dataset) -> pa.Schema:
    """The canonical schema of ``dataset``."""
    return SCHEMAS[dataset]


def empty(dataset: Dataset) -> pa.Table:
    """A table of ``dataset`` without rows."""
    return SCHEMAS[dataset].empty_table()
