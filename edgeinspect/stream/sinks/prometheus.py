"""`prometheus://:9108`: figures of the run for a Prometheus server to fetch from `/metrics`.

Listens on 127.0.0.1 unless the address names a host. docs/sinks.md lists the metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from edgeinspect.errors import SinkError
from edgeinspect.stream.records import was_judged
from edgeinspect.stream.sinks.address import LOOPBACK, Address
from edgeinspect.stream.sinks.scrape_server import ScrapeServer
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, PlainRecord, RunInfo, Sink

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

__all__ = ["PrometheusSink"]

PORT = 9108
BATCH = 100
LATENCY_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
SCORE_SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)


class PrometheusSink(Sink):
    """Counts parts, and answers whoever asks."""

    batch = BATCH

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        address.check_options(())
        self._host, self._port = address.host or LOOPBACK, address.port or PORT
        self._registry = CollectorRegistry()
        self._parts = self._counter("parts", "Parts by verdict and reason.", "verdict", "reason")
        self._notices = self._counter("notices", "Outages, drift and the like.", "kind")
        self._latency = Histogram(
            "edgeinspect_latency_seconds",
            "Time of a part that was judged in each stage; total is from delivery to verdict.",
            ["stage"],
            buckets=LATENCY_S,
            registry=self._registry,
        )
        self._scores = Histogram(
            "edgeinspect_score_share",
            "Score as a share of the threshold: above 1 is NG.",
            buckets=SCORE_SHARES,
            registry=self._registry,
        )
        self._threshold = self._gauge("threshold", "Where OK ends.")
        self._drifting = self._gauge("drift", "1 once drift was warned of.", "trait")
        self._sources = _SourceFigures(self._registry)
        self._last_part = self._gauge("last_part_timestamp_seconds", "When the last part came.")
        self._info = Info("edgeinspect_run", "What judges parts.", registry=self._registry)
        self._version = ""
        self._judge: Set[str] = frozenset()  # the names of what judges
        self._server: ScrapeServer | None = None

    def open(self, about: RunInfo) -> None:
        if self._server is not None:
            return
        try:
            self._server = ScrapeServer(self._host, self._port, make_wsgi_app(self._registry))
        except OSError as error:
            where = f"{self._host}:{self._port}"
            raise SinkError(f"cannot listen on {where} ({error.strerror})") from error
        self._server.start()
        self._registry.register(_RunState(about))
        self._threshold.set(about.threshold)
        self._sources.begin(about.sources)
        self._version = about.tool_version
        self._judge = about.judge.to_plain().keys()
        self._name_judge(about.judge.to_plain())

    def put(self, record: PlainRecord) -> None:
        self._parts.labels(record["verdict"], record["reason"] or "").inc()
        latencies_ms = record["latency_ms"] if was_judged(record["reason"]) else {}
        for stage, latency_ms in latencies_ms.items():
            self._latency.labels(stage).observe(latency_ms / 1e3)
        score, threshold = record["score"], record["threshold"]
        if score is not None and threshold:
            self._scores.observe(score / threshold)
        if threshold is not None:
            self._threshold.set(threshold)
        self._last_part.set_to_current_time()

    def note(self, notice: Notice) -> None:
        self._notices.labels(notice.kind.value).inc()
        if notice.kind is NoticeKind.DRIFT and "trait" in notice.values:
            self._drifting.labels(notice.values["trait"]).set(1)
        self._sources.note(notice)
        names_judge = notice.values.keys() == self._judge  # without, it was refused
        if notice.kind in (NoticeKind.BUNDLE, NoticeKind.ENGINE) and names_judge:
            self._name_judge(notice.values)
        if notice.kind is NoticeKind.BUNDLE and names_judge:
            self._drifting.clear()  # it is looked for anew

    def close(self) -> None:
        if self._server is not None:
            self._server.stop()

    def _name_judge(self, judge: Mapping[str, str]) -> None:
        self._info.info({**judge, "version": self._version})

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"edgeinspect_{name}", text, labels, registry=self._registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"edgeinspect_{name}", text, labels, registry=self._registry)


class _SourceFigures:
    """Which sources are lost or stand still, and how long they were lost in all."""

    def __init__(self, registry: CollectorRegistry) -> None:
        names = ["source"]
        self._lost = Gauge("edgeinspect_source_lost", "1 while lost.", names, registry=registry)
        self._frozen = Gauge(
            "edgeinspect_source_frozen",
            "1 while its picture stands still.",
            names,
            registry=registry,
        )
        self._lost_s = Counter(
            "edgeinspect_outage_seconds", "Lost in all.", names, registry=registry
        )
        self._are_lost: set[str] = set()

    def begin(self, names: Sequence[str]) -> None:
        """All is well with these; one source that has no name is called ""."""
        for name in names or ("",):
            self._lost.labels(name).set(0)
            self._frozen.labels(name).set(0)
            self._lost_s.labels(name)

    def note(self, notice: Notice) -> None:
        name, seconds = notice.source or "", notice.seconds
        if notice.kind is NoticeKind.FROZEN:
            self._frozen.labels(name).set(1)
        elif notice.kind is NoticeKind.OUTAGE:
            self._are_lost.add(name)
            self._lost.labels(name).set(1)
            self._lost_s.labels(name).inc(seconds or 0)
        elif notice.kind is NoticeKind.RECOVERED and name in self._are_lost:
            self._are_lost.remove(name)
            self._lost.labels(name).set(0)
            self._lost_s.labels(name).inc(seconds or 0)
        elif notice.kind is NoticeKind.RECOVERED:
            self._frozen.labels(name).set(0)


class _RunState:
    """What is asked when somebody fetches: queues and sinks."""

    def __init__(self, about: RunInfo) -> None:
        self._about = about

    def collect(self) -> Iterator[Metric]:
        depth = GaugeMetricFamily("edgeinspect_queue_depth", "Waiting now.", labels=["queue"])
        for queue, n in self._about.queue_depths().items():
            depth.add_metric([queue], n)
        waiting = GaugeMetricFamily(
            "edgeinspect_sink_waiting", "Records a sink has not taken.", labels=["sink"]
        )
        away = GaugeMetricFamily("edgeinspect_sink_away", "1 while away.", labels=["sink"])
        dropped = CounterMetricFamily(
            "edgeinspect_sink_dropped", "Records a sink never gets.", labels=["sink"]
        )
        for state in self._about.sink_states():
            waiting.add_metric([state.name], state.n_waiting)
            away.add_metric([state.name], state.is_away)
            dropped.add_metric([state.name], state.n_dropped)
        watched = CounterMetricFamily(
            "edgeinspect_drift_watched", "Looked at for drift.", labels=["figure"]
        )
        for figure, n in self._about.n_watched().items():
            watched.add_metric([figure], n)
        yield from (depth, waiting, away, dropped, watched)
