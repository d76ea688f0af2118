"""Opening a store by its address: a Neo4j server, or the path of an embedded file."""

from __future__ import annotations

import re
from pathlib import Path

from kg.errors import StoreError
from kg.stores.base import GraphStore


def open_store(uri: str, *, create: bool = False) -> GraphStore:
    """Open the store at an address.

    An address is neo4j://, neo4j+s://, bolt://, ... or the path of an embedded file.

    Neo4j's user, password and database come from NEO4J_USERNAME, NEO4J_PASSWORD and NEO4J_DATABASE.

    Raises:
        StoreError: The server does not answer, the file is missing (unless create) or is no store.
    """
    scheme = uri.partition("://")[0] if "://" in uri else ""
    if scheme in {"neo4j", "neo4j+s", "neo4j+ssc", "bolt", "bolt+s", "bolt+ssc"}:
        from kg.stores.neo4j import Neo4jStore  # the driver takes a while to import

        return Neo4jStore.connect(uri)
    if scheme:
        raise StoreError(
            f"{uri}: no store for {scheme}://; use neo4j://, bolt:// or the path of a file"
        )
    if Path(uri).is_dir():
        remedy = f"python -m kg load folder:Folder my.duckdb --set path={uri}"
        raise StoreError(
            f"{uri}: a folder, and no graph file; load its tables into one with "
            f"`{remedy}` and name that"
        )
    from kg.stores.embedded import EmbeddedStore

    return EmbeddedStore(uri, create=create)


def lasting(uri: str) -> str:
    """An address to write down: a file's whole path, a server's without who may read it."""
    if "://" not in uri:
        return str(Path(uri).resolve())
    return re.sub(r"//[^/]*@", "//", uri)
