"""Tables as CSV files."""

from engine.applications.takeaway import as_csv

__all__ = ["as_csv"]
