"""The MySQL database that holds the metadata, where SQLite does not."""

from __future__ import annotations

import dataclasses
import socket
from urllib.parse import urlsplit

from events.errors import ConfigError

PORT = 3306
TIMEOUT_S = 10.0


@dataclasses.dataclass(frozen=True)
class Database:
    """What a URL says, mysql://user:password@host:port/name.

    Attributes:
      host, port: of the server.
      name: of the database.
      user, password: empty where the URL has none.
    """

    host: str
    port: int
    name: str
    user: str
    password: str

    @classmethod
    def parse(cls, url: str) -> Database:
        """Takes a URL apart.

        Raises:
          ConfigError: it is no MySQL URL.
        """
        try:
            parts = urlsplit(url)
            port = parts.port or PORT
        except ValueError:  # no such port, or brackets without an address
            parts, port = urlsplit(""), 0
        name = parts.path.strip("/")
        if parts.scheme != "mysql" or not parts.hostname or not name:
            raise ConfigError(
                f"Metadata is kept in SQLite or MySQL. Received: {url.partition(':')[0]}://... . "
                "Write mysql://user:password@host:port/database."
            )
        return cls(parts.hostname, port, name, parts.username or "", parts.password or "")

    @property
    def place(self) -> str:
        """Where its server is."""
        return f"{self.host}:{self.port}"


def reach(url: str) -> str:
    """Sees whether the server of a URL answers; nothing if there is no URL.

    Returns:
      The URL's password, which no log may show; empty if there is none.

    Raises:
      ConfigError: nothing listens there.
    """
    if not url:
        return ""
    database = Database.parse(url)
    try:
        socket.create_connection((database.host, database.port), TIMEOUT_S).close()
    except OSError as error:
        raise ConfigError(
            f"Metadata needs its MySQL server. Received: {database.place}: {error.strerror or error}. "
            "Start it, or correct --metadata."
        ) from None
    return database.password
