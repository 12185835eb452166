"""The sandbox's WebSocket half: the vendors' live dialects over the tape, with faults on demand.

``ws://127.0.0.1:PORT/<feed>/ws`` and any vendor path below it. Like the HTTP dialects these are
written from the vendors' documents and recorded frames and never import ``providers``.
"""
