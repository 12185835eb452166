"""``mdc symbols import`` and ``export``: a report per row, all or nothing, and a way back."""

from __future__ import annotations

import pytest

from tests.cli.test_symbols_command import HOSTILE, symbols_of


def write(tmp_path, text):
    """A CSV file."""
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return str(path)


def statuses(ran):
    """Status per row of a JSON report."""
    return [(row["row"], row["symbol"], row["status"]) for row in ran.json["rows"]]


def test_each_row_is_reported_by_its_line(mdc, tmp_path):
    """Added, kept and repeated ones are told apart; the line is that of the file."""
    mdc("symbols", "add", "--universe", "us", "KO")
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nAAPL\nko\naapl\n"), "--universe", "us", "--json")
    assert ran.code == 0
    assert statuses(ran) == [(2, "AAPL", "added"), (3, "KO", "kept"), (4, "AAPL", "repeated")]
    assert symbols_of(mdc) == ["KO", "AAPL"]


def test_one_bad_row_imports_nothing(mdc, tmp_path):
    """Exit 1; the report names the row and why."""
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nAAPL\n=cmd()\n"), "--universe", "us", "--json")
    assert ran.code == 1
    assert statuses(ran) == [(2, "AAPL", "not imported"), (3, "=cmd()", "bad")]
    assert "not a symbol" in ran.json["rows"][1]["note"]
    assert symbols_of(mdc) == []


def test_skip_bad_imports_the_rest(mdc, tmp_path):
    """Still exit 1, so that a script notices."""
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nAAPL\n../x\n"), "--universe", "us", "--skip-bad")
    assert ran.code == 1
    assert symbols_of(mdc) == ["AAPL"]


def test_dry_run_reports_and_changes_nothing(mdc, tmp_path):
    """The same report."""
    path = write(tmp_path, "symbol\nAAPL\n")
    dry = mdc("symbols", "import", path, "--universe", "us", "--dry-run", "--json")
    assert statuses(dry) == [(2, "AAPL", "added")]
    assert symbols_of(mdc) == []


def test_an_export_restores_the_membership_elsewhere(mdc, pristine, tmp_path):
    """Order, seats and removed ones included; a second export is the same bytes."""
    mdc("symbols", "add", "--universe", "us", "MSFT", "TRUE", "007", "BRK.B")
    mdc("symbols", "remove", "--universe", "us", "007")
    first = mdc("symbols", "export", "--universe", "us").out
    mdc("symbols", "add", "--universe", "us", "007")
    assert mdc("symbols", "import", write(tmp_path, first), "--universe", "us").code == 0
    assert mdc("symbols", "export", "--universe", "us").out == first


def test_an_import_is_undone_by_the_earlier_export(mdc, tmp_path):
    """What was removed follows again, what was active is active."""
    mdc("symbols", "add", "--universe", "us", "AAPL", "KO")
    before = mdc("symbols", "export", "--universe", "us").out
    mdc("symbols", "import", write(tmp_path, "symbol,active\nAAPL,false\n"), "--universe", "us")
    assert symbols_of(mdc) == ["KO"]
    mdc("symbols", "import", write(tmp_path, before), "--universe", "us")
    assert symbols_of(mdc) == ["AAPL", "KO"]


def test_stdin_is_read_where_the_file_is_a_dash(mdc):
    """For pipes."""
    assert mdc("symbols", "import", "-", "--universe", "us", stdin="symbol\nAAPL\n").code == 0
    assert symbols_of(mdc) == ["AAPL"]


def test_a_byte_order_mark_and_windows_line_ends_are_fine(mdc, tmp_path):
    """As spreadsheets write them."""
    path = write(tmp_path, b"\xef\xbb\xbfSymbol,name\r\nAAPL,Apple\r\n")
    assert mdc("symbols", "import", path, "--universe", "us").code == 0
    assert symbols_of(mdc) == ["AAPL"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no column 'symbol'"),
        (b"ticker\nAAPL\n", "no column 'symbol'"),
        (b"symbol\n", "0 data rows"),
        (b"symbol\n\xff\xfe\n", "not a CSV file in UTF-8"),
        (b'symbol\n"AAPL\n', "not a CSV file"),
        (b"symbol\n" + b"A\n" * 1_100_000, "larger than"),
        (b"symbol\n" + b"A\n" * 20_001, "20001 data rows"),
    ],
    ids=["empty", "no-column", "no-rows", "latin-1", "open-quote", "too-large", "too-many"],
)
def test_what_is_no_list_is_refused(mdc, tmp_path, content, said):
    """Exit 2, a clear reason, nobody added."""
    ran = mdc("symbols", "import", write(tmp_path, content), "--universe", "us")
    assert ran.code == 2
    assert said in ran.err
    assert symbols_of(mdc) == []


def test_a_missing_file_is_named(mdc):
    """Not a traceback."""
    ran = mdc("symbols", "import", "nowhere.csv", "--universe", "us")
    assert ran.code == 2
    assert "nowhere.csv" in ran.err


def test_hostile_rows_are_bad_rows(mdc, tmp_path):
    """Every hostile text is one bad row, and the report is printable."""
    import csv

    path = tmp_path / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["symbol"], *([text] for text in HOSTILE)])
    ran = mdc("symbols", "import", str(path), "--universe", "us")
    assert ran.code == 1
    assert all(line.isprintable() for line in ran.out.splitlines())
    assert ran.out.count(" bad ") >= len(HOSTILE) - 1
    assert symbols_of(mdc) == []


def test_export_never_overwrites(mdc, tmp_path):
    """A file that is there stays."""
    target = tmp_path / "mine.csv"
    target.write_text("mine")
    ran = mdc("symbols", "export", "--universe", "us", "--output", str(target))
    assert ran.code == 2
    assert target.read_text() == "mine"


def test_a_row_of_another_universe_is_bad(mdc, tmp_path):
    """A symbol is in exactly one."""
    mdc.append('\n[universes.uk]\ncalendar = "XLON"\n')
    mdc("symbols", "add", "--universe", "uk", "VOD")
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nVOD\n"), "--universe", "us", "--json")
    assert ran.code == 1
    assert "'uk'" in ran.json["rows"][0]["note"]


def test_active_must_be_true_or_false(mdc, tmp_path):
    """Anything else is a bad row."""
    ran = mdc("symbols", "import", write(tmp_path, "symbol,active\nAAPL,maybe\n"), "--universe", "us")
    assert ran.code == 1


def test_a_name_that_has_ended_says_what_it_is_now(mdc, tmp_path):
    """It joins: its old sessions are its own; the row names the successor."""
    mdc("symbols", "rename", "FB", "META", "2022-06-09")
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nFB\nAAPL\n"), "--universe", "us", "--json")
    assert statuses(ran) == [(2, "FB", "renamed"), (3, "AAPL", "added")]
    assert ran.json["rows"][0]["note"] == "META after 2022-06-08; add that too"
    again = mdc("symbols", "import", write(tmp_path, "symbol\nFB\n"), "--universe", "us", "--json")
    assert statuses(again) == [(2, "FB", "kept")]
    assert symbols_of(mdc) == ["FB", "AAPL"]


@pytest.mark.parametrize(
    "cell",
    [
        "=cmd|'/C calc'!A0",
        "@SUM(A1)",
        "+1+1",
        "-1",
        "A\x00B",
        "\ufeffAAPL",
        "AAPL\u200b",
        "../../etc",
        "a" * 33,
        "",
    ],
    ids=ascii,
)
def test_a_hostile_cell_is_refused_with_its_line_and_reason(mdc, tmp_path, cell):
    """Formulas, NUL, a BOM in the middle, what cannot be seen: one bad row each, the rest imported."""
    path = write(tmp_path, f'symbol,note\nKO,x\n"{cell}",y\nMSFT,z\n')
    ran = mdc("symbols", "import", path, "--universe", "us", "--skip-bad", "--json")
    assert ran.code == 1, ran.err
    assert [row["status"] for row in ran.json["rows"]] == ["added", "bad", "added"]
    assert ran.json["rows"][1]["row"] == 3
    assert ran.json["rows"][1]["note"]
    assert symbols_of(mdc) == ["KO", "MSFT"]


def test_a_utf_16_file_is_refused_whole(mdc, tmp_path):
    """Some spreadsheets write it; half of it read as text would be worse."""
    ran = mdc("symbols", "import", write(tmp_path, "symbol\nAAPL\n".encode("utf-16")), "--universe", "us")
    assert ran.code == 2
    assert "UTF-8" in ran.err
