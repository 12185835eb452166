"""The floor of live capture: a long-lived process that loses nothing it has acknowledged.

Log first: a frame is in the write-ahead log before anything looks inside it. Runs with Dagster
uninstalled; the two meet only on disk, in sealed segments and in the lake.
"""
