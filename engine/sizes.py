"""Sizes and times as people read them, for pages and for sentences of errors."""

from __future__ import annotations


def size_in_words(size_bytes: float) -> str:
    """1_500_000 -> "1.5 MB"; decimal units, as downloads are counted."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            value = size_bytes / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size_bytes:.0f} bytes"


def seconds_in_words(seconds: float) -> str:
    """75 -> "1 min 15 s"; 5000 -> "1 h 23 min"."""
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
