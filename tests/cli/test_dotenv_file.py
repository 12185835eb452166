"""Changing one value of a ``.env`` file: everything else stays byte for byte, and it is read back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mdc_resources.cli.dotenv_file import read_values, with_values
from mdc_resources.domain.errors import UsageError

printable = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1, max_size=60)
keys = printable.map(str.strip).filter(bool)


def test_other_lines_comments_and_order_stay():
    """One line differs, and only that one."""
    text = "# mine\nDAGSTER_HOME=/x y\n\nexport A_KEY=old # note\nB_KEY='b'\n# C_KEY=\n"
    changed = with_values(text, {"A_KEY": "new"})
    assert changed == "# mine\nDAGSTER_HOME=/x y\n\nA_KEY=new\nB_KEY='b'\n# C_KEY=\n"


def test_a_commented_line_gives_its_place():
    """`mdc init` leaves one per credential."""
    assert with_values("# A_KEY=\n# B_KEY=\n", {"B_KEY": "v"}) == "# A_KEY=\nB_KEY=v\n"


def test_a_new_name_is_added_at_the_end():
    """Also after a last line without its end, and to no file at all."""
    assert with_values("X=1", {"A_KEY": "v"}) == "X=1\nA_KEY=v\n"
    assert with_values("", {"A_KEY": "v"}) == "A_KEY=v\n"


def test_the_line_that_counts_is_replaced():
    """Of two the last one."""
    assert with_values("A_KEY=1\nA_KEY=2\n", {"A_KEY": "v"}) == "A_KEY=1\nA_KEY=v\n"


def test_names_that_contain_each_other_are_told_apart():
    """KEY is not MY_KEY, nor KEY_ID."""
    assert with_values("MY_KEY=1\nKEY_ID=2\n", {"KEY": "v"}) == "MY_KEY=1\nKEY_ID=2\nKEY=v\n"


@given(keys)
def test_a_key_is_read_back_as_it_was_given_or_refused(value):
    """Quotes, hashes, dollars, backslashes: never another value, never the value in the message."""
    try:
        changed = with_values("DAGSTER_HOME=/x\n# a comment\n", {"A_KEY": value})
    except UsageError as error:
        told = str(error)
    else:
        told = "A_KEY_FILE"
        assert read_values(changed) == {"DAGSTER_HOME": "/x", "A_KEY": value}
        assert changed.count("\n") == 3
    assert "A_KEY_FILE" in told
    assert len(value) < 4 or value not in told


@given(
    st.lists(
        st.sampled_from(["# c", "", "A=1", "export B=2", "C='x y'", "D", " E = 5 ", "#A=1"]), max_size=8
    ),
    keys,
)
def test_no_other_name_ever_changes(lines, value):
    """Whatever else is in the file."""
    text = "\n".join(lines)
    before = read_values(text)
    try:
        after = read_values(with_values(text, {"NEW_KEY": value}))
    except UsageError:
        return
    assert {**before, "NEW_KEY": value} == after


def test_a_value_of_several_lines_is_not_broken():
    """A line of it that looks like another setting is not taken for one."""
    text = 'CERT="first\nA_KEY=inside\nlast"\n'
    with pytest.raises(UsageError, match="several lines"):
        with_values(text, {"A_KEY": "v"})


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A\nB"])
def test_a_name_must_be_one(name):
    """It would become another line."""
    with pytest.raises(UsageError):
        with_values("", {name: "v"})
