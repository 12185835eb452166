"""Who can be asked which symbols there are: one pure module a source, ``plan`` and ``decode`` each.

Like the providers beside it, a source does no I/O. It asks about US listings and answers with
:class:`~.found.Found` in canonical symbols; what it cannot spell is left out.
"""

from mdc_resources.providers.search import alpaca, finnhub, openfigi, polygon
from mdc_resources.providers.search.found import Found, Source

SOURCES: dict[str, Source] = {
    source.name: source for source in (polygon.SOURCE, alpaca.SOURCE, finnhub.SOURCE, openfigi.SOURCE)
}

__all__ = ["SOURCES", "Found", "Source"]
