"""The words of the archive: plain values every other floor speaks in. Standard library only."""
