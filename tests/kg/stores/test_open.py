"""Addresses of stores."""

from kg.stores.open import lasting


def test_an_address_to_write_down_is_whole_and_tells_no_secret(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lasting("graph.kg") == str(tmp_path.resolve() / "graph.kg")
    assert (
        lasting("neo4j+s://anna:secret@shop.example:7687")
        == "neo4j+s://shop.example:7687"
    )
    assert lasting("bolt://localhost:7687") == "bolt://localhost:7687"
