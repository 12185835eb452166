"""Landing: sealed segments of captured logs become rows, holes and coverage, each exactly once.

Promises: one commit per batch of segments; a segment in the ledger is never landed again; the same
log gives the same rows and holes however it is cut, and in whatever order its segments come.
"""
