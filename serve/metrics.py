"""Metrics: what happened, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

BUCKETS = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.02,
    0.04,
    0.08,
    0.16,
    0.32,
    0.64,
    1.28,
    2.56,
    5.12,
    10.24,
)


class Metrics:
    """Counters of one process, or where PROMETHEUS_MULTIPROC_DIR is set of all workers together."""

    def __init__(self) -> None:
        self.many = "PROMETHEUS_MULTIPROC_DIR" in os.environ
        self.registry = into = CollectorRegistry()
        labels = ("route", "method", "status")
        self.requests = Counter(
            "trousseau_requests",
            "Requests by route, method and status.",
            labels,
            registry=into,
        )
        self.seconds = Histogram(
            "trousseau_seconds",
            "How long they took.",
            ("route",),
            buckets=BUCKETS,
            registry=into,
        )
        self.inside = Gauge(
            "trousseau_inside",
            "Answers being made.",
            multiprocess_mode="livesum",
            registry=into,
        )
        self.events = Counter(
            "trousseau_events", "Events that were acknowledged.", registry=into
        )
        # All workers count in the same file, so the latest count is everybody's.
        self.waiting = Gauge(
            "trousseau_events_waiting",
            "Events that wait for the graph store.",
            multiprocess_mode="mostrecent",
            registry=into,
        )
        self.refused = Gauge(
            "trousseau_events_refused",
            "Events that the graph store has refused.",
            multiprocess_mode="mostrecent",
            registry=into,
        )
        self.reloads = Counter(
            "trousseau_reloads", "Runs loaded, or refused.", ("outcome",), registry=into
        )
        self.encoded = Gauge(
            "trousseau_words_encoded",
            "Texts encoded.",
            multiprocess_mode="livesum",
            registry=into,
        )
        self.batches = Gauge(
            "trousseau_word_batches",
            "Their batches.",
            multiprocess_mode="livesum",
            registry=into,
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one."""
        known = (
            method
            if method in {"GET", "POST", "DELETE", "HEAD", "OPTIONS"}
            else "other"
        )
        self.requests.labels(route, known, str(status)).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        registry = self.registry
        if self.many:
            registry = CollectorRegistry()
            multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
