"""The tables of what is kept, and how a database comes to have them. Only `migrations` change what is there."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import BigInteger, Column, Connection, Double, Index, MetaData, String, Table, Text, inspect, text

METADATA = MetaData()
ENTRIES = Table(
    "entries",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("owner", String(64), nullable=False),
    Column("made", Double, nullable=False),
    Column("ends", Double, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("value", Text, nullable=False),
    Index("entries_by_kind", "kind", "owner", "made"),
    Index("entries_by_end", "ends"),
)
"""Values: name and owner as sha256, `made` and `ends` in seconds since 1970, `value` as JSON."""
COUNTS = Table(
    "counts",
    METADATA,
    Column("name", String(64), primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("ends", Double, nullable=False, index=True),
)
HEAD = "0001"
"""The latest of `migrations/versions`; a test holds that."""
LOCK = 7_082_026
"""Of PostgreSQL's advisory locks the one under which one server alone changes tables."""


def upgrade(connection: Connection) -> None:
    """Bring the tables to their present form; nothing is done where they have it. To be run by one at a time."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    if _version(connection) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    """The migration that was run last; alembic itself takes half a second to import."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return found
