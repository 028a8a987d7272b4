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
FOLDER=${1:-build/aarch64}
ROOT=$FOLDER/root
PYTHON=${PYTHON:-python3}
OUT=benchmarks/results/aarch64.json
mkdir -p "$FOLDER"

inside() { # inside COMMAND...: run it in the arm64 system
  proot -0 -q qemu-aarch64-static -r "$ROOT" -b /proc -b /dev -w /box /usr/bin/env -i \
    HOME=/root PATH=/box/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    DEBOOTSTRAP_DIR=/debootstrap "$@"
}

make_system() {
  debootstrap --foreign --arch=arm64 --variant=minbase --include=python3,python3-venv \
    bookworm "$ROOT"
  rm -f "$ROOT/proc" && mkdir -p "$ROOT/proc" "$ROOT/box" # a container's debootstrap links /proc
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

install_and_judge() {
  rm -rf "$ROOT/box/venv" "$ROOT/box/pictures" "$ROOT/box/arm64" "$FOLDER/host"
  cp -r "$FOLDER/wheels" "$ROOT/box/" && rm -rf "$ROOT/box/demo.bundle"
  cp -r edgeinspect/demo_bundle "$ROOT/box/demo.bundle"
  "$PYTHON" -m edgeinspect synth "$FOLDER/metal" --surface brushed --n-good 4 --n-test 4 \
    --size 256 --seed 1 --force
  cp -r "$FOLDER/metal/test" "$ROOT/box/pictures"
  inside python3 -m venv /box/venv
  inside pip install --quiet --no-index --find-links /box/wheels edgeinspect
  inside edgeinspect doctor --json >"$FOLDER/doctor.json"
  inside edgeinspect run demo.bundle pictures --out arm64 --runtime onnxruntime || [ $? = 1 ]
  "$PYTHON" -m edgeinspect run edgeinspect/demo_bundle "$FOLDER/metal/test" \
    --out "$FOLDER/host" --runtime onnxruntime || [ $? = 1 ]
}

[ -e "$FOLDER/system-is-made" ] || make_system
fetch_wheels
install_and_judge
"$PYTHON" benchmarks/aarch64.py "$FOLDER" "$ROOT/box" >"$OUT"
cat "$OUT"
