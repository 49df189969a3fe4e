"""Figures for Prometheus: the API's requests counted as they end, models and storage read when somebody asks.

They are the host's: on a public site they are told to whoever shows PARLANCE_METRICS_TOKEN. Nothing that people typed
is in them; paths are the API's own, never those that were asked for.
"""

from __future__ import annotations

import hmac
import logging
import re
import secrets
import time
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.errors import NotReadyError
from engine.http.callers import caller_of
from engine.http.streams import in_thread
from engine.serving.access import check
from engine.serving.compose import House
from engine.storage import StorageError

log = logging.getLogger(__name__)

SECONDS = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.25, 0.35, 0.5, 0.75, 1, 2.5, 5, 10, 30, 60, 300)
"""Upper ends of the histogram's parts."""
METHODS = frozenset({"GET", "HEAD", "POST", "OPTIONS"})
OTHER = "other"
"""What is not one of the API's paths or methods, however many there are."""


def measure(app: FastAPI, house: House) -> None:
    """Number the requests of the app, which has all its routes, log how they ended, and tell figures under /metrics."""
    figures = Figures(house) if find_spec("prometheus_client") else None
    app.add_middleware(Measured, paths=tuple(app.openapi()["paths"]), figures=figures)

    @app.get("/metrics", include_in_schema=False)
    async def metrics(request: Request) -> Response:
        _check(house, request)
        if figures is None:
            raise NotReadyError("Figures need prometheus-client: install requirements-host.txt.")
        return Response(await in_thread(figures.told), media_type="text/plain; version=0.0.4; charset=utf-8")


def _check(house: House, request: Request) -> None:
    """Raise ConflictError for strangers."""
    token, shown = house.settings.metrics_token, request.headers.get("authorization", "")
    if not token or not hmac.compare_digest(shown.encode(), f"Bearer {token}".encode()):
        check(caller_of(house, request), "see figures")


class Figures:
    """What is counted and read, in Prometheus' own form."""

    def __init__(self, house: House) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self.house, self.registry = house, CollectorRegistry()
        self._requests = Counter(
            "parlance_http_requests", "Requests to the API that ended.", ("method", "path", "status"),
            registry=self.registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "parlance_http_request_seconds", "From a request's head to its answer's end.", ("path",),
            buckets=SECONDS, registry=self.registry,
        )  # fmt: skip
        ProcessCollector(registry=self.registry)
        self.registry.register(self)

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        """One more request that ended."""
        self._requests.labels(method, path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def told(self) -> bytes:
        """All figures as text."""
        from prometheus_client import generate_latest

        return generate_latest(self.registry)

    def collect(self) -> Iterator[Any]:
        """What is read when somebody asks: models in memory, and what is kept."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        status = self.house.engine.status()
        yield GaugeMetricFamily("parlance_memory_budget_bytes", "For models.", value=status.budget_bytes)
        yield GaugeMetricFamily("parlance_memory_used_bytes", "By models.", value=status.used_bytes)
        labels = ("model", "runtime")
        requests = CounterMetricFamily("parlance_model_requests", "Requests that a model did.", labels=labels)
        about = {
            "queued": "Requests that wait for a model.",
            "running": "Requests that a model works on.",
            "memory_bytes": "Memory of a model.",
            "tokens_per_second": "Of one answer, median of the last twenty.",
            "first_token_seconds": "From a request to its first word, median of the last twenty.",
        }
        gauges = {
            name: GaugeMetricFamily(f"parlance_model_{name}", words, labels=labels) for name, words in about.items()
        }
        for model in status.models:
            requests.add_metric([model.id, model.runtime], model.requests)
            for name, gauge in gauges.items():
                if (value := getattr(model, name)) is not None:
                    gauge.add_metric([model.id, model.runtime], value)
        yield from (requests, *gauges.values())
        yield from self._kept()

    def _kept(self) -> Iterator[Any]:
        from prometheus_client.core import GaugeMetricFamily

        values = GaugeMetricFamily("parlance_storage_values", "Values that are kept.", labels=("kind",))
        sizes = GaugeMetricFamily("parlance_storage_bytes", "Bytes of what is kept.", labels=("kind",))
        try:
            found, is_reached = self.house.storage.usage(), 1
        except StorageError:
            found, is_reached = {}, 0
        for kind, (count, size) in found.items():
            values.add_metric([kind], count)
            sizes.add_metric([kind], size)
        yield from (values, sizes)
        yield GaugeMetricFamily("parlance_storage_up", "Whether what is kept can be reached.", value=is_reached)


class Measured:
    """Around the API: each answer bears its request's number, which the log has too, with how it ended."""

    def __init__(self, app: ASGIApp, paths: Iterable[str], figures: Figures | None) -> None:
        self.app, self.figures = app, figures
        self.paths = {path: re.compile(re.sub(r"\\{.*?\\}", ".+", re.escape(path))) for path in paths}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and note how it ended."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        number, started, status = secrets.token_hex(8), time.perf_counter(), 500

        async def numbered(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-Id"] = number
            await send(message)

        try:
            await self.app(scope, receive, numbered)
        finally:
            self._note(scope, number, status, time.perf_counter() - started)

    def _note(self, scope: Scope, number: str, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in METHODS else OTHER
        path = self._path(scope["path"])
        facts = {"request": number, "method": method, "path": path, "status": status, "seconds": round(seconds, 4)}
        log.info("request", extra=facts)
        if self.figures is not None:
            self.figures.count(method, path, status, seconds)

    def _path(self, asked: str) -> str:
        """The API's own path, without what stands in it for a name."""
        if asked in self.paths:
            return asked
        return next((path for path, form in self.paths.items() if form.fullmatch(asked)), OTHER)
