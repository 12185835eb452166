"""The floor of live capture. Nothing is captured yet: `mdc` backfills history only."""
