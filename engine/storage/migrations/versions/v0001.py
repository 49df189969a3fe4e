"""Values and counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision = "0001", None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "entries",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("made", sa.Double, nullable=False),
        sa.Column("ends", sa.Double, nullable=False),
        sa.Column("bytes", sa.BigInteger, nullable=False),
        sa.Column("value", sa.Text, nullable=False),
    )
    op.create_index("entries_by_kind", "entries", ["kind", "owner", "made"])
    op.create_index("entries_by_end", "entries", ["ends"])
    op.create_table(
        "counts",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
        sa.Column("ends", sa.Double, nullable=False),
    )
    op.create_index("ix_counts_ends", "counts", ["ends"])
