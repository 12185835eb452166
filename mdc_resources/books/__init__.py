"""Live order books: what they hold, and the rules by which they are known to be true.

Pure, and below the providers: whoever has a feed's decoded snapshots and deltas applies them here.
"""

from mdc_resources.books.book import Book, Change, Top
from mdc_resources.books.rules import Broken, Rule, book_rule, kraken_checksum

__all__ = ["Book", "Broken", "Change", "Rule", "Top", "book_rule", "kraken_checksum"]
