"""What the archive should hold, what it holds, and what explains the rest.

    calendar x membership x listing  ->  expected  ->  minus the ledger  ->  gaps

:mod:`.expectation` counts, :mod:`.gaps` finds what is open at the scale of whole universes. Nothing
here fetches or writes: it reads the ledger, the calendars and the machine state.
"""

from mdc_resources.coverage.expectation import coverage_summary
from mdc_resources.coverage.universes import calendar_of

__all__ = ["calendar_of", "coverage_summary"]
