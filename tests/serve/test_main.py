"""The command line: what does not start, and what is printed."""

import pytest

from kg.errors import InputError
from serve.__main__ import main
from serve.settings import Settings


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({}, "keys"),
        ({"insecure": True, "host": "0.0.0.0"}, "host"),
        ({"insecure": True, "host": "shop.example"}, "host"),
        ({"insecure": True, "keys": "keys.toml"}, "insecure"),
        ({"insecure": True, "cors": ["*"]}, "cors"),
        ({"insecure": True, "fold_minutes": -1.0}, "fold_minutes"),
    ],
)
def test_what_would_let_everybody_in_does_not_start(settings, field):
    with pytest.raises(InputError) as refusal:
        Settings("run", **settings)
    assert refusal.value.field == field


def test_on_the_command_line(tmp_path, capsys, runs):
    file = str(tmp_path / "keys.toml")
    assert (
        main(
            [
                "keys",
                "add",
                "shop",
                "--role",
                "operator",
                "--keys",
                file,
                "--quota",
                "5",
            ]
        )
        == 0
    )
    assert capsys.readouterr().out.startswith("trs_shop.")
    assert main(["keys", "list", "--keys", file]) == 0
    assert "shop  operator  50.0/s, 5/day" in capsys.readouterr().out
    for wrong, told in (
        (["--run", str(runs[0])], "who may query"),
        (["--run", str(runs[0]), "--insecure", "--host", "0.0.0.0"], "127.0.0.1"),
        (["--run", str(tmp_path / "none"), "--insecure"], "no such folder"),
        (["--runs", str(tmp_path / "none"), "--insecure"], "no runs there"),
        (["--run", str(runs[0]), "--keys", str(tmp_path / "none.toml")], "none.toml"),
        (["keys", "revoke", "nobody", "--keys", file], "no key"),
    ):
        assert main(wrong) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1


def test_without_its_extra_the_server_says_which_to_install(capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["--insecure"]) == 2
    error = capsys.readouterr().err
    assert "pip install 'trousseau[serve]'" in error and error.count("\n") == 1
