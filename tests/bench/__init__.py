"""Benchmarks: figures beside a yardstick of the same run. Not tests: nothing here fails a build."""
