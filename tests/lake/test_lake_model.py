"""Random histories of a lake against a dictionary: whatever the order, both hold the same."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from lake_rows import bars, batch, day, empties, key

from mdc_resources.domain.coverage import PartitionKey
from mdc_resources.domain.datasets import Dataset
from mdc_resources.domain.errors import FencedOut
from mdc_resources.lake import CommitBatch, Lake

SYMBOLS = st.sampled_from(["AAPL", "BRK.B", "MSFT"])
DAYS = st.integers(0, 24)  # two months
PRICES = st.integers(1, 9).map(str)
Model = dict[PartitionKey, tuple[str, int]]
_FOLDER = tempfile.TemporaryDirectory(prefix="mdc-model-")  # removed when the process ends


def fresh_lake() -> Path:
    """A copy of an empty lake made once."""
    template = Path(_FOLDER.name) / "lake"
    if not template.exists():
        Lake.create(template).close()
    return Path(shutil.copytree(template, Path(tempfile.mkdtemp(prefix="mdc-model-")) / "lake"))


class History(RuleBasedStateMachine):
    """Commits, replaces, refusals, flushes, compactions and restarts of one lake.

    The model maps a partition to (close of its first bar, rows); ``past`` remembers it per snapshot.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = fresh_lake()
        self.model: Model = {}
        self.past: dict[int, Model] = {}

    @initialize()
    def open(self) -> None:
        """Every history starts with an empty lake."""
        self.lake = Lake.open(self.root)

    def write(self, wanted: list[PartitionKey], price: str, per: int) -> CommitBatch:
        """A batch of ``per`` bars for each of ``wanted``, replacing those that hold rows."""
        tables = [bars(k.symbol, [k.session], per=per, close=price) for k in wanted]
        return batch(*tables, replaces=[k for k in wanted if k in self.model])

    @rule(
        symbols=st.sets(SYMBOLS, min_size=1),
        days=st.sets(DAYS, min_size=1, max_size=4),
        price=PRICES,
        per=st.integers(1, 4),
    )
    def commit(self, symbols: set[str], days: set[int], price: str, per: int) -> None:
        """Store partitions; those that exist are replaced."""
        wanted = [key(symbol, number) for symbol in sorted(symbols) for number in sorted(days)]
        receipt = self.lake.commit(self.write(wanted, price, per))
        self.model |= dict.fromkeys(wanted, (price, per))
        self.past[receipt.snapshot_id] = dict(self.model)

    @rule(symbol=SYMBOLS, number=DAYS)
    def empty(self, symbol: str, number: int) -> None:
        """A partition turns out to be empty."""
        gone = [key(symbol, number)] if key(symbol, number) in self.model else []
        said = empties(Dataset.BARS_1M, symbol, [day(number)])
        receipt = self.lake.commit(batch(coverage=said, replaces=gone))
        self.model.pop(key(symbol, number), None)
        self.past[receipt.snapshot_id] = dict(self.model)

    @rule(symbol=SYMBOLS, number=DAYS)
    def refused(self, symbol: str, number: int) -> None:
        """A zombie's commit is fenced at the last moment and changes nothing."""

        def fence() -> None:
            raise FencedOut("a newer attempt holds the claim")

        given = self.write([key(symbol, number)], "5", 2)
        zombie = CommitBatch("zombie", 0, given.tables, given.coverage, given.replaces, before_commit=fence)
        with pytest.raises(FencedOut):
            self.lake.commit(zombie)

    @rule()
    def flush(self) -> None:
        """Move the ledgers to files."""
        self.lake.flush()

    @rule()
    def compact(self) -> None:
        """Merge small files."""
        self.lake.compact(min_files=2)

    @rule()
    def restart(self) -> None:
        """Close and open again."""
        self.lake.close()
        self.lake = Lake.open(self.root)

    @invariant()
    def holds_what_the_model_holds(self) -> None:
        """Rows and coverage equal the model's, whatever happened."""
        if not hasattr(self, "lake"):
            return
        table = self.lake.coverage(Dataset.BARS_1M)
        stored = {
            PartitionKey(row["symbol"], row["session"]): row["row_count"]
            for row in table.to_pylist()
            if row["state"] == "present"
        }
        assert stored == {k: rows for k, (_, rows) in self.model.items()}

    def teardown(self) -> None:
        """At the end: content, history and soundness, in full."""
        if hasattr(self, "lake"):
            assert self.lake.verify(deep=True) == []
            for snapshot, model in [*list(self.past.items())[-3:], (None, self.model)]:
                assert self.contents(snapshot) == model
            self.lake.close()
        shutil.rmtree(self.root.parent)

    def contents(self, as_of: int | None) -> Model:
        """(close, rows) of every partition a reader sees."""
        with self.lake.connect(as_of=as_of) as reader:
            rows = reader.execute(
                "SELECT symbol, session, min(close)::INT::VARCHAR, count(*) FROM bars_1m GROUP BY 1, 2"
            ).fetchall()
        return {PartitionKey(symbol, session): (close, count) for symbol, session, close, count in rows}


TestHistory = pytest.mark.slow(History.TestCase)
TestHistory.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
