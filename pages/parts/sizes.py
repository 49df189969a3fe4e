"""Numbers in words."""

from __future__ import annotations


def size_in_words(size_bytes: float) -> str:
    """1_500_000 -> "1.5 MB"; decimal units, as downloads are counted."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= factor:
            value = size_bytes / factor
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{size_bytes:.0f} bytes"


def seconds_in_words(seconds: float) -> str:
    """75 -> "1 min 15 s"."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def percent_in_words(share: float) -> str:
    """0.834 -> "83%"; never 0 or 100 for what is merely near them."""
    return "under 1%" if share < 0.01 else "over 99%" if share > 0.99 else f"{share:.0%}"


def parameters_in_words(count: int) -> str:
    """134_515_008 -> "135M"."""
    if count >= 1e9:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.0f}M" if count >= 1e6 else f"{count / 1e3:.0f}k"
