#!/usr/bin/env bash
# Installs the base package on an arm64 Debian and judges pictures there, under emulation (qemu-user).
#
#   benchmarks/aarch64.sh [FOLDER]      FOLDER (build/aarch64) keeps the system for the next time
#
# Needs root, and on Debian: apt-get install qemu-user-static proot debootstrap. Wheels are fetched
# outside for the versions of constraints.txt; inside, pip installs them without a network.
# Result: benchmarks/results/aarch64.json. Minutes are the emulator's and say nothing of a board.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p "${1:-build/aarch64}"
FOLDER=$(realpath "${1:-build/aarch64}")
ROOT=$FOLDER/root DATA=$FOLDER/data # DATA has one path outside and inside: proot misses access()
PYTHON=${PYTHON:-python3}
OUT=benchmarks/results/aarch64.json

inside() { # inside COMMAND...: run it in the arm64 system
  proot -0 -q qemu-aarch64-static -r "$ROOT" -b /proc -b /dev -b "$DATA" -w "$DATA" /usr/bin/env -i \
    HOME=/root PATH=/box/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    DEBOOTSTRAP_DIR=/debootstrap "$@"
}

make_system() {
  debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,python3-venv \
    bookworm "$ROOT"
  rm -f "$ROOT/proc" && mkdir -p "$ROOT/proc" # a container's debootstrap links /proc
  inside /debootstrap/debootstrap --second-stage
  touch "$FOLDER/system-is-made"
}

fetch_wheels() {
  rm -rf "$FOLDER/wheels"
  "$PYTHON" -m hatchling build -t wheel -d "$FOLDER/wheels"
  local platforms=()
  for name in manylinux_2_28 manylinux_2_27 manylinux_2_17 manylinux2014; do
    platforms+=(--platform "${name}_aarch64")
  done
  "$PYTHON" -m pip download --quiet --dest "$FOLDER/wheels" --python-version 3.11 \
    --only-binary=:all: "${platforms[@]}" -c constraints.txt "$FOLDER"/wheels/edgeinspect-*.whl
}

install() {
  rm -rf "$ROOT/box" && mkdir -p "$ROOT/box" && cp -r "$FOLDER/wheels" "$ROOT/box/"
  inside python3 -m venv /box/venv
  inside pip install --quiet --no-index --find-links /box/wheels edgeinspect
}

judge() {
  cp -r edgeinspect/demo_bundle "$DATA/demo.bundle"
  "$PYTHON" -m edgeinspect synth "$DATA/metal" --surface brushed --n-good 4 --n-test 4 \
    --size 256 --seed 1
  inside edgeinspect doctor --json >"$DATA/doctor.json"
  inside edgeinspect run "$DATA/demo.bundle" "$DATA/metal/test" --out "$DATA/arm64" \
    --runtime onnxruntime || [ $? = 1 ]
  "$PYTHON" -m edgeinspect run "$DATA/demo.bundle" "$DATA/metal/test" \
    --out "$DATA/host" --runtime onnxruntime || [ $? = 1 ]
}

rm -rf "$DATA" && mkdir -p "$DATA"
[ -e "$FOLDER/system-is-made" ] || make_system
fetch_wheels
install
judge
"$PYTHON" benchmarks/aarch64.py "$DATA" "$ROOT/box/venv" >"$OUT"
cat "$OUT"
