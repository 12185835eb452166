"""What to fetch next without being asked: holes, new sessions, sessions worth a second look.

Plans are pure decisions over the ledger, the machine state and an instant; the orchestrator above
launches them, ingest below carries them out.
"""
