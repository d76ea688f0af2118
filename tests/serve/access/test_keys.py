"""The key file: hashes, one owner, changes of many processes, and its command line."""

import stat
from pathlib import Path

import pytest

from kg.errors import InputError
from serve.access.keys import add_key, change_keys, read_keys, revoke_key

QUERY = {"user": "u003", "k": 1}


def test_keys_are_kept_as_hashes_that_only_the_owner_reads(tmp_path):
    file = tmp_path / "keys.toml"
    secret = add_key(file, "shop", "reader")
    assert (
        secret.startswith("trs_shop.")
        and secret.partition(".")[2] not in file.read_text()
    )
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with pytest.raises(InputError) as refusal:
        add_key(file, "shop", "admin")
    assert refusal.value.field == "name"
    revoke_key(file, "shop")
    assert read_keys(file) == {}
    for name, role, expires in (
        ("a b", "reader", ""),
        ("a", "king", ""),
        ("a", "reader", "soon"),
    ):
        with pytest.raises(InputError):
            add_key(file, name, role, expires=expires)


def test_a_key_file_that_breaks_keeps_the_keys_that_were(serving, keys):
    api = serving(keys=keys.file)
    Path(keys.file).write_text("[[keys]\nbroken")
    guard = api.app.state.held.guard
    guard._read = (guard._read[0] - 2, guard._read[1])
    assert api.get("/v1/about", headers=keys.reader).status_code == 200


def test_changes_of_two_at_once_are_both_kept(tmp_path):
    import threading

    file = tmp_path / "keys.toml"
    threads = [
        threading.Thread(target=add_key, args=(file, f"k{n}", "reader"))
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(read_keys(file)) == 8
    change_keys(file, lambda keys: keys.clear())
    assert read_keys(file) == {}
