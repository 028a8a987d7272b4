"""Sinks: where the records of a run go beside `records.jsonl`.

sink.py       the class to inherit, what a sink is told of the run, and notices
address.py    URLs: where a sink stands, its options, its credentials
runners.py    a thread for each sink, so that none slows or stops the line
opening.py    URLs to open sinks, by scheme and by entry point `edgeinspect.sinks`
journal.py    how far a sink that loses nothing has come in `records.jsonl`
notices.py    `notices.jsonl`, which is a sink itself
mqtt.py, webhook.py    records and notices as JSON; tls.py: whom they trust
modbus.py, opcua.py    the state of the line (line_state.py) for a PLC
prometheus.py          figures to be fetched from scrape_server.py

with open_sinks(urls, folder=out, about=about) as sinks:
    writer.write(record)    # into records.jsonl, flushed
    sinks.put(record)       # in order; never waits and never raises
    sinks.note(notice)      # an outage, drift, a new bundle
"""

from __future__ import annotations

from edgeinspect.stream.sinks.opening import Sinks, open_sink, open_sinks
from edgeinspect.stream.sinks.sink import Notice, NoticeKind, PlainRecord, RunInfo, Sink

__all__ = [
    "Notice",
    "NoticeKind",
    "PlainRecord",
    "RunInfo",
    "Sink",
    "Sinks",
    "open_sink",
    "open_sinks",
]
