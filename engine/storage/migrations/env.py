"""Alembic runs this for every change of tables: on the connection that `tables.upgrade` gives."""

from __future__ import annotations

from alembic import context

from engine.storage.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
