"""What a public site gives each visitor and each address: how much is used, what is left, and when it begins anew."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, get_args

from engine.errors import LimitError
from engine.messages import Text
from engine.serving.access import may
from engine.serving.protocol import Caller, Engine
from engine.sizes import seconds_in_words
from engine.storage import Storage

if TYPE_CHECKING:
    from limits import RateLimitItem
    from limits.strategies import FixedWindowRateLimiter

Use = Literal["requests", "tokens", "seconds", "uploads"]
USES: tuple[Use, ...] = get_args(Use)
SETTINGS: dict[Use, str] = {
    "requests": "requests_a_minute", "tokens": "tokens_a_day", "seconds": "seconds_a_day",
    "uploads": "uploads_a_day",
}  # fmt: skip
OWN: dict[Use, Text] = {
    "requests": Text("This site takes {limit:,} requests a minute from each visitor. Ask again in {wait}."),
    "tokens": Text("This site gives each visitor {limit:,} tokens a day, and yours are used. Ask again in {wait}."),
    "seconds": Text("This site computes {limit:,} seconds a day for each visitor. Yours are used, wait {wait}."),
    "uploads": Text("This site takes {limit:,} files a day from each visitor. Bring the next in {wait}."),
}  # fmt: skip
SHARED: dict[Use, Text] = {
    "requests": Text("This site takes {limit:,} requests a minute from each network address. Ask again in {wait}."),
    "tokens": Text("This site gives each network address {limit:,} tokens a day. Ask again in {wait}."),
    "seconds": Text("This site computes {limit:,} seconds a day for each network address. Ask again in {wait}."),
    "uploads": Text("This site takes {limit:,} files a day from each network address. Bring the next in {wait}."),
}  # fmt: skip
MINUTE_SECONDS, DAY_SECONDS = 60, 86_400
SCALE: dict[Use, int] = {"seconds": 1_000}
"""What is counted in a finer unit than the limit is given in: an answer may take milliseconds."""


@dataclass(frozen=True)
class Allowance:
    """What a caller has of one thing: the limit, what is left of it, and in how many seconds it begins anew."""

    use: Use
    limit: int
    rest: int
    reset_seconds: int

    @property
    def window_seconds(self) -> int:
        return MINUTE_SECONDS if self.use == "requests" else DAY_SECONDS


class Allowances:
    """Counts for the callers of an engine; nothing is counted for hosts, nor where the site is not public."""

    def __init__(self, storage: Storage, engine: Engine) -> None:
        self.storage, self.engine = storage, engine

    def is_limited(self, caller: Caller) -> bool:
        """Whether anything is counted for this caller."""
        return self.engine.settings.is_public and caller.role != "host"

    def check(self, caller: Caller, use: Use) -> None:
        """Raise LimitError, which names the limit and when it begins anew, where nothing is left."""
        for item, who, refusal in self._items(caller, use):
            if not self._limiter.test(item, who):
                raise self._error(use, item, who, refusal)

    def take(self, caller: Caller, use: Use, amount: int = 1) -> None:
        """Count it. Raises as `check`, also for what is over the limit with this."""
        for item, who, refusal in self._items(caller, use):
            if not self._limiter.hit(item, who, cost=amount * SCALE.get(use, 1)):
                raise self._error(use, item, who, refusal)

    def note(self, caller: Caller, use: Use, amount: float) -> None:
        """Count what was used already."""
        for item, who, _ in self._items(caller, use) if amount > 0 else ():
            self._limiter.hit(item, who, cost=max(1, round(amount * SCALE.get(use, 1))))

    def of(self, caller: Caller) -> list[Allowance]:
        """What this caller has of each thing that has a limit: of its own, or its address's where that is less."""
        uses = [use for use in USES if use != "uploads" or may(caller, "upload")]
        return [self._tightest(caller, use) for use in uses if any(self._items(caller, use))]

    def _tightest(self, caller: Caller, use: Use) -> Allowance:
        found = []
        for item, who, _ in self._items(caller, use):
            stats = self._limiter.get_window_stats(item, who)
            scale, wait = SCALE.get(use, 1), self._wait(item, stats.reset_time)
            found.append(Allowance(use, item.amount // scale, stats.remaining // scale, wait))
        return min(found, key=lambda one: one.rest)

    def _items(self, caller: Caller, use: Use) -> Iterator[tuple[RateLimitItem, str, Text]]:
        """Each limit on that with whose it is and what is said at its end; none where it is not limited."""
        from limits import RateLimitItemPerDay, RateLimitItemPerMinute

        settings = self.engine.settings
        most = int(getattr(settings, SETTINGS[use]))
        if not most or not self.is_limited(caller):
            return
        kind = RateLimitItemPerMinute if use == "requests" else RateLimitItemPerDay
        most *= SCALE.get(use, 1)
        own = most * (settings.member_allowance if caller.role == "member" else 1)
        yield kind(own, namespace=use), f"visitor {caller.id}", OWN[use]
        if caller.address and caller.role == "visitor":
            shared = kind(most * settings.address_visitors, namespace=use)
            yield shared, f"address {network_of(caller.address)}", SHARED[use]

    def _error(self, use: Use, item: RateLimitItem, who: str, refusal: Text) -> LimitError:
        wait = self._wait(item, self._limiter.get_window_stats(item, who).reset_time)
        facts = {"limit": item.amount // SCALE.get(use, 1), "wait": seconds_in_words(wait)}
        return LimitError(Text(refusal.template, **facts), retry_seconds=wait)

    def _wait(self, item: RateLimitItem, end: float) -> int:
        """Seconds until a window ends; a whole one where none is open, or the clock was set back."""
        left, window = round(end - time.time()), item.get_expiry()
        return max(1, left) if 0 < left <= window else window

    @cached_property
    def _limiter(self) -> FixedWindowRateLimiter:
        from limits.strategies import FixedWindowRateLimiter  # a sixth of a second, for public sites alone

        from engine.serving.counts import Counts

        return FixedWindowRateLimiter(Counts(self.storage))


def network_of(address: str) -> str:
    """An address of IPv6 is one of as many as its network has, which is one customer's."""
    with suppress(ValueError):
        if ipaddress.ip_address(address).version == 6:
            return str(ipaddress.ip_network(f"{address}/64", strict=False))
    return address
