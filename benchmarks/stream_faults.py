"""Runs that are killed, starved and cut off: no record lost, duplicated or torn.

    python benchmarks/stream_faults.py --kills 100   # into benchmarks/results
    python benchmarks/stream_faults.py --kills 2 --out faults.json

`kill -9` hits `edgeinspect run --resume` at random moments until all parts have records; then
they are counted. After that: a disk that fills up (a small tmpfs, root alone can make one), an
MJPEG stream and an RTSP stream whose servers die, an MQTT broker (mosquitto) that is stopped and
started while records go there. Only addresses of this machine are used.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

import edgeinspect

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.stream.ports import free_port  # noqa: E402 (the servers of tests)
from tests.stream.sinks.servers import Broker, Subscriber  # noqa: E402
from tests.stream.sources.test_network import (  # noqa: E402
    has_rtsp_server,
    mjpeg_server,
    rtsp_server,
)

BUNDLE = Path(edgeinspect.__file__).parent / "demo_bundle"
RESULT = Path(__file__).parent / "results" / "stream_faults.json"
NO_TMPFS = {"tried": 0, "lost": 0, "note": "no tmpfs could be mounted here"}
PATIENCE_S = 120.0
N_BROKER_DEATHS = 3  # while parts come; once more the run ends before it is back


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """What is wrong with a run's records."""

    lost: int
    duplicated: int
    torn: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--parts-per-kill", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULT)
    asked = parser.parse_args()
    random.seed(asked.seed)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        n_kills, count = kill_again_and_again(place, asked.kills, asked.parts_per_kill)
        faults = {
            "disk_full": fill_the_disk(place),
            "disk_full_of_a_camera": fill_the_disk_of_a_camera(place),
            "mjpeg_server_dies": lose_the_stream(place / "mjpeg", "http", mjpeg_server),
        }
        if shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin") is not None:
            faults["broker_dies"] = lose_the_broker(place / "broker")
        if has_rtsp_server():
            faults["rtsp_server_dies"] = lose_the_stream(place / "rtsp", "rtsp", rtsp_server)
    result = {
        "kills": n_kills,
        "lost": count.lost,
        "duplicated": count.duplicated,
        "torn": count.torn,
        "faults": faults,
        "version": edgeinspect.__version__,
    }
    asked.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


def kill_again_and_again(place: Path, n_kills: int, parts_per_kill: int) -> tuple[int, Count]:
    """Kill a run after a random number of records, and resume it, until all parts have one."""
    n_parts = 2 * n_kills * parts_per_kill  # so that they do not run out before the last kill
    pictures = make_pictures(place / "parts", n_parts)
    out, n_done = place / "killed", 0
    while n_done < n_kills:
        process = start(str(pictures), out, "--resume", "--fsync", "never")
        wanted = size_of(out) + random.randint(0, 2000 * parts_per_kill // 2)
        if not wait_until(lambda: size_of(out) > wanted or process.poll() is not None):  # noqa: B023
            break
        time.sleep(random.uniform(0, 0.02))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGKILL)
        n_done += 1
        process.wait()
    start(str(pictures), out, "--resume").wait()
    return n_done, count_records(out, [str(path) for path in sorted(pictures.iterdir())])


def fill_the_disk(place: Path) -> dict[str, Any]:
    """A run on a disk that is too small ends with code 2; with more space it is resumed."""
    with small_disk(place / "disk") as disk:
        if disk is None:
            return NO_TMPFS
        pictures = make_pictures(place / "many", 150)
        code = start(str(pictures), disk / "run", "--save", "none").wait()
        enlarge(disk)
        start(str(pictures), disk / "run", "--save", "none", "--resume").wait()
        count = count_records(disk / "run", [str(path) for path in sorted(pictures.iterdir())])
    wrong = count.lost + count.duplicated + count.torn
    return {"tried": 1, "lost": wrong, "exit_code_when_full": code}


def fill_the_disk_of_a_camera(place: Path) -> dict[str, Any]:
    """Frames that come while the disk is full have their records once there is room again."""
    port = free_port()
    with small_disk(place / "camera_disk") as disk, mjpeg_server(port):
        if disk is None:
            return NO_TMPFS
        out = disk / "run"
        process = start(f"http://127.0.0.1:{port}/line", out, "--save", "none")
        assert wait_until(lambda: size_of(out) > 0), "no frame came"
        (disk / "filler").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
        assert wait_until(lambda: has_stalled(out)), "records are still written"
        before = size_of(out)
        enlarge(disk)
        assert wait_until(lambda: size_of(out) > before), "no record came any more"
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
        seqs = [record["seq"] for record in read_records(out)]
        kinds = [json.loads(line)["kind"] for line in notices_of(out).splitlines()]
    lost = len(set(range(seqs[-1] + 1)) - set(seqs))
    return {"tried": 1, "lost": lost, "records": len(seqs), "exit_code": code, "notices": kinds}


@contextlib.contextmanager
def small_disk(disk: Path) -> Iterator[Path | None]:
    """A file system of 64 KiB; None where none can be mounted."""
    disk.mkdir()
    mounted = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mounted, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=False)


def enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def has_stalled(out: Path) -> bool:
    """Whether no record was written for a second."""
    before = size_of(out)
    time.sleep(1)
    return size_of(out) == before


def lose_the_stream(out: Path, scheme: str, serve: Any) -> dict[str, Any]:
    """A server dies and comes back: the run goes on, numbers have no gap, the outage is told."""
    port = free_port()
    with serve(port):
        process = start(f"{scheme}://127.0.0.1:{port}/line", out)
        assert wait_until(lambda: size_of(out) > 0), "no frame came"
    assert wait_until(lambda: b"outage" in notices_of(out)), "the outage was not noticed"
    before = size_of(out)
    with serve(port):
        assert wait_until(lambda: size_of(out) > before), "the stream was not found again"
        process.send_signal(signal.SIGTERM)
        code = process.wait(PATIENCE_S)
    records = read_records(out)
    lost = sum(record["seq"] != i for i, record in enumerate(records))
    kinds = [json.loads(line)["kind"] for line in notices_of(out).splitlines()]
    return {"tried": 1, "lost": lost, "records": len(records), "exit_code": code, "notices": kinds}


def lose_the_broker(place: Path) -> dict[str, Any]:
    """A broker dies again and again: each record is published, in this run or the next.

    It is stopped so that what it has acknowledged stays in its store: what a broker forgets that
    is killed harder than that, no publisher can tell.
    """
    place.mkdir()
    out, pictures = place / "run", str(make_pictures(place / "parts", 150))
    broker = Broker(place).start()
    heard = Subscriber(broker.port, "line")
    options = ("--save", "none", "--sink", f"mqtt://127.0.0.1:{broker.port}/line")
    process = start(pictures, out, "--fps", "25", *options)
    for n_deaths in range(1, N_BROKER_DEATHS + 1):
        n_heard = len(heard.seqs("line"))
        assert wait_until(lambda: len(heard.seqs("line")) > n_heard + 10), "nothing comes"  # noqa: B023
        broker.stop()
        assert wait_until(lambda: notices_of(out).count(b"is away") == n_deaths), "unnoticed"  # noqa: B023
        broker.start()
    assert wait_until(lambda: notices_of(out).count(b"is back") == N_BROKER_DEATHS), "not back"
    broker.stop()
    process.wait()
    broker.start()
    start(pictures, out, "--resume", *options).wait()
    wanted = range(len(read_records(out)))
    wait_until(lambda: set(heard.seqs("line")) >= set(wanted), within_s=10)
    seqs = heard.seqs("line")
    heard.close()
    broker.stop()
    return {
        "tried": N_BROKER_DEATHS + 1,
        "lost": len(set(wanted) - set(seqs)),
        "records": len(wanted),
        "heard_twice": len(seqs) - len(set(seqs)),
    }


def start(source: str, out: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "edgeinspect", "run", str(BUNDLE), source, "--out", str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [*command, "--threads", "1", "--quiet", *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def make_pictures(folder: Path, n: int) -> Path:
    folder.mkdir()
    noise = np.random.default_rng(0)
    for i in range(n):
        picture = noise.normal(128, 3, (64, 64, 3)).clip(0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"part_{i:05d}.png"), picture)
    return folder


def count_records(out: Path, names: list[str]) -> Count:
    lines = (out / "records.jsonl").read_bytes().splitlines(keepends=True)
    sources: Counter[str] = Counter()
    torn = 0
    for line in lines:
        try:
            assert line.endswith(b"\n")
            sources[json.loads(line)["source"]] += 1
        except (ValueError, AssertionError):
            torn += 1
    return Count(
        lost=sum(sources[name] == 0 for name in names),
        duplicated=sum(n - 1 for n in sources.values()),
        torn=torn,
    )


def read_records(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "records.jsonl").read_text().splitlines()]


def size_of(out: Path) -> int:
    with contextlib.suppress(FileNotFoundError):
        return (out / "records.jsonl").stat().st_size
    return 0


def notices_of(out: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return (out / "notices.jsonl").read_bytes()
    return b""


def wait_until(is_so: Any, *, within_s: float = PATIENCE_S) -> bool:
    end_s = time.monotonic() + within_s
    while not is_so():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.002)
    return True


if __name__ == "__main__":
    main()
