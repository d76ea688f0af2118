"""A connection to a Neo4j server over Bolt: queries sent, and what goes wrong said in one line.

This is the only file that imports the driver.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

import neo4j
from neo4j.exceptions import AuthError, DriverError, Neo4jError, ServiceUnavailable

from kg.errors import StoreError

Transaction = neo4j.ManagedTransaction
_LEAST = (5, 13)  # the first version with valueType()


class Neo4jConnection:
    """A connection to one database of a server, 5.13 or newer.

    Args:
        driver: An open driver; the connection closes it.
        uri: The address, for messages.
        database: The database; the user's default where None.
    """

    def __init__(
        self, driver: neo4j.Driver, uri: str, database: str | None = None
    ) -> None:
        self.uri = uri
        self._driver = driver
        self._database = database

    @classmethod
    def connect(cls, uri: str) -> Self:
        """Connect with NEO4J_USERNAME (neo4j where unset), NEO4J_PASSWORD and NEO4J_DATABASE.

        Raises:
            StoreError: The server does not answer within 5 seconds, refuses the user, has no
                such database, or is older than 5.13.
        """
        if "@" in uri:
            address = re.sub("//.*@", "//", uri)
            raise StoreError(
                f"{address}: user and password go in NEO4J_USERNAME and NEO4J_PASSWORD, "
                "not in the address"
            )
        password = os.environ.get("NEO4J_PASSWORD")
        try:
            driver = neo4j.GraphDatabase.driver(
                uri,
                auth=(os.environ.get("NEO4J_USERNAME") or "neo4j", password)
                if password
                else None,
                connection_timeout=5,
                connection_acquisition_timeout=5,  # to connect, and then to be greeted
                max_transaction_retry_time=15,
                notifications_min_severity="OFF",
            )
        except (DriverError, ValueError) as error:
            raise StoreError(f"{uri}: {error}") from error
        store = cls(driver, uri, os.environ.get("NEO4J_DATABASE") or None)
        try:
            store._check_server()
        except BaseException:
            store.close()
            raise
        return store

    def rows(self, query: str) -> Iterator[list[Any]]:
        """Stream the rows of a reading query; a few hundred are in memory at a time."""
        with self._errors(), self._session(neo4j.READ_ACCESS) as session:
            for record in session.run(query):
                yield record.values()

    def close(self) -> None:
        """Close the driver; harmless when called twice."""
        self._driver.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _check_server(self) -> None:
        try:
            with self._errors():
                agent = self._driver.get_server_info().agent
        except (ValueError, OSError) as error:  # from the look-up of the name
            raise StoreError(f"{self.uri}: {error}") from error
        version = re.match(r"Neo4j/(\d+)\.(\d+)", agent)
        if version and (int(version[1]), int(version[2])) < _LEAST:
            raise StoreError(
                f"{self.uri}: {agent} is too old; Neo4j 5.13 or newer is needed"
            )
        list(self.rows("RETURN 1"))

    def _session(self, mode: str = neo4j.WRITE_ACCESS) -> neo4j.Session:
        return self._driver.session(
            database=self._database, default_access_mode=mode, fetch_size=500
        )

    def _write(self, query: str, rows: Any) -> None:
        with self._errors(), self._session() as session:
            session.execute_write(
                lambda transaction: transaction.run(query, rows=rows).consume()
            )

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (DriverError, Neo4jError) as error:
            what = (error.message if isinstance(error, Neo4jError) else "") or str(
                error
            ).partition("\n")[0]
            if isinstance(error, AuthError):
                what = "user or password refused; set NEO4J_USERNAME and NEO4J_PASSWORD"
            elif isinstance(error, ServiceUnavailable):
                what = f"no answer; is the server running, and is this its address? ({what})"
            elif (
                getattr(error, "code", "")
                == "Neo.ClientError.Database.DatabaseNotFound"
            ):
                what = f"there is no database {self._database!r}; set NEO4J_DATABASE"
            raise StoreError(f"{self.uri}: {what}") from error
