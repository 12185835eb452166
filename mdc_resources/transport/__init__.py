"""The only code that touches the network, and the raw archive of what it brought.

Import from the modules: ``http`` (fetching), ``budget`` (rate limits), ``archive`` and
``archive_reader`` (WARC). Nothing is imported here, so that a command that fetches nothing does
not pay for an HTTP client.
"""
