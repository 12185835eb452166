"""What decoders share: bodies read exactly, and columns made into canonical tables.

Nothing here knows a vendor. ``bodies``, ``json_rows``, ``delimited`` and ``numbers`` turn bytes into
columns without a float on the way; ``bars``, ``events`` and ``actions`` turn columns into the tables of
:mod:`mdc_resources.schema.arrow`, with range, order and duplicates seen to.
"""
