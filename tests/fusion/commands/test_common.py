"""What all commands share."""

import pytest

from fusion.__main__ import main
from fusion.commands.common import table, within


def test_a_missing_run_is_one_line_and_exit_code_2(tmp_path, capsys):
    assert main(["answer", "--runs", str(tmp_path / "none"), "--user", "1"]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "no runs there" in told


def test_within_is_read_or_refused():
    assert within(["colour=Red|Dark Blue", "kind=Sock"]) == (
        ("colour", ("Red", "Dark Blue")),
        ("kind", ("Sock",)),
    )
    assert within([" brand = Acme | Novelty, Costumes & More|"]) == (
        ("brand", ("Acme", "Novelty, Costumes & More")),
    )
    for wrong in ("colour", "=Red", "colour=", "colour= | ", " =Red"):
        with pytest.raises(ValueError, match="PROPERTY=VALUE"):
            within([wrong])


def test_a_table_lines_up_its_columns():
    assert (
        table(["id", "title"], [["1", "a"], ["22", "bb"]]) == "id  title\n1   a\n22  bb"
    )
    assert table(["id"], []) == "nothing found"
