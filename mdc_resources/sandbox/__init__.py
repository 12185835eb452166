"""A local server that speaks real vendors' dialects over a seeded synthetic market.

Promises: the same seed, symbol and date give the same data in any process and any order; bodies
have each vendor's shapes, number encodings and errors; faults and recordings on demand.
Refuses: other addresses than loopback. It never imports ``providers``: a dialect written from the
vendor's documents must not share a decoder's mistake.
"""
