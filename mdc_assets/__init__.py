"""Dagster: when data is fetched and how the archive looks in the web UI. No parsing, no SQL, no paths."""
