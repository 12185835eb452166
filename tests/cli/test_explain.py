"""``mdc explain``: complete as JSON, readable at a glance, exit codes."""

from __future__ import annotations

import subprocess

import pytest

PARTITION = [
    "dataset", "state", "why", "line", "expected", "due_at", "begun", "adjustments", "tries", "claimed",
    "claims", "changes", "requests", "rows", "observations", "quarantine", "incidents",
]  # fmt: skip


def test_the_json_has_exactly_the_promised_keys(stocked):
    """Names and order are an interface."""
    seen = stocked("explain", "AAPL", "2024-01-03", "--json").json
    assert list(seen) == ["symbol", "session", "at", "place", "day", "listing", "partitions"]
    assert list(seen["partitions"][0]) == PARTITION
    assert [each["dataset"] for each in seen["partitions"]] == [
        "bars_1d", "bars_1m", "corporate_actions", "instruments",
    ]  # fmt: skip


def test_a_present_bar_is_there_with_all_its_evidence(stocked):
    """The row in exact decimals as text, the request, and the raw record that was checked."""
    ran = stocked("explain", "AAPL", "2024-01-03", "--dataset", "bars_1d", "--json")
    assert ran.code == 0
    (seen,) = ran.json["partitions"]
    assert (seen["state"], seen["line"]["row_count"]) == ("present", 1)
    (row,) = seen["rows"]
    query = "SELECT open, close FROM bars_1d_stored WHERE symbol='AAPL' AND session='2024-01-03'"
    (stored,) = stocked("query", query, "--json").json
    assert {"open": row["open"], "close": row["close"]} == stored
    assert isinstance(row["close"], str)
    (request,) = [each for each in seen["requests"] if each["role"] == "stored"]
    assert request["raw"]["fault"] == ""
    assert request["raw"]["agrees"] is True
    assert (stocked.root / request["raw"]["file"]).is_file()


def test_the_sha256_is_that_of_the_bytes_in_the_file(stocked):
    """Cut out of the file with the offset and length given, by another program."""
    (seen,) = stocked("explain", "AAPL", "2024-01-03", "--dataset", "bars_1d", "--json").json["partitions"]
    raw = next(each["raw"] for each in seen["requests"] if each["role"] == "stored")
    cut = f"tail -c +{raw['offset'] + 1} {stocked.root / raw['file']} | head -c {raw['length']}"
    record = subprocess.run(["sh", "-c", cut], capture_output=True, check=True).stdout
    assert f"sha256:{raw['sha256']}".encode() in record
    assert record.endswith(b"\r\n\r\n")


def test_a_person_sees_state_reason_and_evidence(stocked):
    """The answer is in the first two lines."""
    ran = stocked("explain", "aapl", "2024-01-03")
    assert ran.code == 0
    first, second = ran.out.splitlines()[:2]
    assert first == "AAPL  2024-01-03 Wednesday  bars_1d: present"
    assert second.strip().startswith("1 row of sandbox:")
    for word in ("fingerprint", "basis", "raw/", "sha256", "intact", "snapshots in which", "requests that"):
        assert word in ran.out
    assert "other datasets" in ran.out


def test_one_dataset_leaves_the_others_out(stocked):
    """--dataset narrows it."""
    ran = stocked("explain", "AAPL", "2024-01-03", "--dataset", "corporate_actions")
    assert "corporate_actions: " in ran.out.splitlines()[0]
    assert "other datasets" not in ran.out


@pytest.mark.parametrize(
    ("symbol", "date", "words"),
    [
        ("AAPL", "2024-01-15", ["not_expected", "Martin Luther King", "2024-01-12 and 2024-01-16"]),
        ("AAPL", "2024-01-06", ["not_expected", "does not trade on Saturdays"]),
        ("AAPL", "2024-02-05", ["missing", "never asked"]),
        ("KO", "2024-01-03", ["not_expected", "no universe follows KO"]),
        ("AAPL", "2024-07-03", ["half day", "09:30-13:00 America/New_York", "210 minutes"]),
    ],
    ids=["holiday", "weekend", "gap", "stranger", "half-day"],
)
def test_what_is_not_there_is_explained_too(stocked, symbol, date, words):
    """Exit 0: an explanation was given."""
    ran = stocked("explain", symbol, date)
    assert ran.code == 0
    assert all(word in ran.out for word in words), ran.out


def test_lines_fit_a_terminal(stocked):
    """URLs and reasons are wrapped."""
    out = stocked("explain", "AAPL", "2024-01-03").out
    assert max(map(len, out.splitlines())) <= 180


def test_control_characters_of_a_vendor_do_not_steer_the_terminal(stocked_copy):
    """What was received is shown escaped."""
    body = {"body": "<html>\x1b[2Jgone</html>"}
    stocked_copy.server.add_fault("*", "html200", probability=1.0, params=body)
    stocked_copy("backfill", "MSFT", "--start", "2024-02-05", "--end", "2024-02-05", "--direct")
    stocked_copy.server.clear_faults()
    ran = stocked_copy("explain", "MSFT", "2024-02-05")
    assert ran.code == 0
    assert "\x1b" not in ran.out


@pytest.mark.parametrize(
    "words",
    [
        ["AAPL", "yesterday"],
        ["AAPL", "2024-02-30"],
        ["AAPL' OR 1=1 --", "2024-01-03"],
        ["AAPL", "2024-01-03", "--dataset", "nope"],
        ["AAPL", "1980-01-02"],
        ["AAPL"],
    ],
    ids=["no-date", "no-such-date", "injection", "no-dataset", "before-calendars", "no-date-at-all"],
)
def test_bad_input_is_exit_2(stocked, words):
    """One line, no traceback."""
    ran = stocked("explain", *words)
    assert ran.code == 2
    assert "Traceback" not in ran.err


def test_a_missing_lake_is_exit_5(stocked_copy):
    """Nothing is explained without the lake."""
    (stocked_copy.root / "lake" / "MARKER").unlink()
    assert stocked_copy("explain", "AAPL", "2024-01-03").code == 5


def test_explaining_changes_nothing(stocked_copy):
    """No commit, no file."""
    before = stocked_copy.files()
    stocked_copy("explain", "AAPL", "2024-01-03", "--json")
    after = stocked_copy.files()
    assert {name for name in before if before[name] != after.get(name)} <= {"lake/catalog.sqlite-shm"}
    assert {name for name in after if name not in before} <= {
        "lake/catalog.sqlite-shm",
        "lake/catalog.sqlite-wal",
    }
