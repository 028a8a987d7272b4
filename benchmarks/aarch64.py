"""Sums up what benchmarks/aarch64.sh did: versions, size, and arm64's scores beside this machine's.

python benchmarks/aarch64.py DATA ENVIRONMENT > RESULT
"""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path
from typing import Any


def main(data: Path, environment: Path) -> None:
    doctor = json.loads((data / "doctor.json").read_text())
    theirs, ours = records(data / "arm64"), records(data / "host")
    assert theirs.keys() == ours.keys(), "different pictures were judged"
    differences = [abs(theirs[name]["score"] - ours[name]["score"]) for name in ours]
    threshold = next(iter(ours.values()))["threshold"]
    result = {
        "emulated": f"{doctor['machine']['system'].split()[-1]}, qemu-user",
        "python": doctor["machine"]["python"],
        "packages": {p["name"]: p["version"] for p in doctor["packages"] if p["version"]},
        "environment_mb": round(sum(f.stat().st_size for f in files(environment / "lib")) / 1e6),
        "host": platform.machine(),
        "n_pictures": len(ours),
        "largest_score_difference": max(differences),
        "threshold": threshold,
        "n_verdict_flips": sum(theirs[n]["verdict"] != ours[n]["verdict"] for n in ours),
        "verdicts": {v: sum(r["verdict"] == v for r in theirs.values()) for v in ("OK", "NG")},
    }
    print(json.dumps(result, indent=1))


def records(run: Path) -> dict[str, dict[str, Any]]:
    """The run's records by class and name of the picture."""
    lines = (run / "records.jsonl").read_text().splitlines()
    plain = [json.loads(line) for line in lines]
    return {"/".join(Path(record["source"]).parts[-2:]): record for record in plain}


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
