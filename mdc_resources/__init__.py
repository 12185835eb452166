"""The library under the archive: everything except *when* (``mdc_assets``) and live capture.

Read the folders as floors, bottom to top; each imports only the ones before it:
``domain`` -> ``config``, ``telemetry`` -> ``schema``, ``calendars``, ``state``, ``transport`` ->
``providers``, ``lake`` -> ``ingest``, ``query`` -> ``cli``, ``sandbox``.
"""

__version__ = "0.1.0"
