"""`http://`, `https://`: each record is posted as JSON, one after the other.

An answer of 2xx counts as delivered. 400, 413 and 422 say that this record will never be taken: it
is left out with a warning. After anything else the same record is posted again, with the same
`Idempotency-Key`.
"""

from __future__ import annotations

import json
import logging
import time
from urllib.parse import quote

import httpx

from edgeinspect.errors import SinkError
from edgeinspect.stream.sinks.address import Address
from edgeinspect.stream.sinks.sink import Notice, PlainRecord, Sink
from edgeinspect.stream.sinks.tls import tls_context

__all__ = ["WebhookSink"]

_log = logging.getLogger(__name__)

OPTIONS = ("credentials", "ca", "certificate", "key", "timeout-s")
TIMEOUT_S = 10.0
LONGEST_ANSWER = 1 << 16  # bytes
NEVER_TAKEN = (400, 413, 422)


class WebhookSink(Sink):
    """Posts to one address over a connection that is kept."""

    is_durable = True

    def __init__(self, address: Address) -> None:
        """Raises: ConfigError."""
        address.check_options(OPTIONS)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs addresses, secrets in them
        self._name = address.name
        self._url = address.url
        self._timeout_s = address.seconds("timeout-s", TIMEOUT_S)
        known = address.credentials()
        headers = {"Content-Type": "application/json", "User-Agent": "edgeinspect"}
        if known.token is not None:
            headers["Authorization"] = f"Bearer {known.token}"
        auth = None
        if known.username is not None:
            auth = httpx.BasicAuth(known.username, known.password or "")
        self._client = httpx.Client(
            headers=headers,
            auth=auth,
            timeout=self._timeout_s,
            verify=tls_context(address) if address.scheme == "https" else True,
        )
        self._n_refused = 0

    def put(self, record: PlainRecord) -> None:
        # Cameras that one trigger fires have parts of one number at one time.
        self._post(record, _key(record["time"], record.get("stream"), record["seq"]))

    def note(self, notice: Notice) -> None:
        plain = notice.to_plain()
        self._post(plain, _key(plain["time"], plain["source"], plain["kind"]))

    def close(self) -> None:
        self._client.close()

    def _post(self, plain: PlainRecord, key: str) -> None:
        content = json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
        status = self._status_of(content, {"Idempotency-Key": key})
        if status in NEVER_TAKEN:
            self._leave_out(key, status)
        elif not httpx.codes.is_success(status):
            raise SinkError(f"it answers {status}")

    def _status_of(self, content: bytes, headers: dict[str, str]) -> int:
        """What a post is answered, without the words, of which there may be any number."""
        try:
            with self._client.stream("POST", self._url, content=content, headers=headers) as answer:
                self._skim(answer)
                return answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SinkError(f"nobody takes posts ({type(error).__name__})") from error

    def _skim(self, answer: httpx.Response) -> None:
        """Take an answer to its end, so that the connection is kept, unless it is long or slow."""
        n_bytes, end_s = 0, time.monotonic() + self._timeout_s
        for chunk in answer.iter_raw():
            n_bytes += len(chunk)
            if n_bytes > LONGEST_ANSWER or time.monotonic() > end_s:
                return

    def _leave_out(self, key: str, status: int) -> None:
        self._n_refused += 1
        if self._n_refused == 1:
            what = "the sink %s refuses record %s with %d: it and others like it are left out"
            _log.warning(what, self._name, key, status)


def _key(*parts: object) -> str:
    """What tells one post from all others, in characters that a header may have."""
    return "-".join(quote(str(part)) for part in parts if part is not None)
