"""The ``mdc`` command, one module per noun. Everything heavy is imported where it is used.

Promises: ``mdc --help`` stays under 0.3 s; a read prints JSON with ``--json``; a write has
``--dry-run``; deliberate errors are one line on stderr and a documented exit code.
"""
