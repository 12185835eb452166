"""Reading the lake: guarded SQL sessions (:mod:`.session`), allowed statements, bars as Arrow."""
