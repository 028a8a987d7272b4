# The project's verbs; on a fresh machine they need python3 with venv and pip, and nothing else.
PYTHON ?= python3
VENV := .venv
DEMO := .venv-demo
NUMPY_1 := .venv-numpy-1
BIN := $(VENV)/bin
N_WORKERS ?= 2
# The versions that were tested, uv's own among them.
UV_VERSION := $(shell sed -n 's/^uv==/uv==/p' constraints.txt)
# A torch that takes every core in every worker is slower than one core each.
export OMP_NUM_THREADS ?= 1
export UV_HTTP_TIMEOUT ?= 300

.PHONY: help setup lint format type test demo bench build demo-bundle constraints clean
help:  ## what there is
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

setup: $(VENV)/ready  ## .venv with everything that development needs
$(VENV)/ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet "$(UV_VERSION)"
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e ".[train,stream,dev]"
	touch $@

lint: setup  ## format, lint, import directions
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: setup  ## bring the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

type: setup  ## mypy, strict
	$(BIN)/mypy

test: lint type $(DEMO)/ready $(NUMPY_1)/ready  ## all that CI checks
	$(BIN)/python -m pytest -n $(N_WORKERS) $(PYTEST_ARGS)

demo: $(DEMO)/ready  ## synthetic parts, inspected: demo/index.html
	$(DEMO)/bin/edgeinspect demo --out demo --force
# The base install as users get it: plain pip, no extras.
$(DEMO)/ready: pyproject.toml constraints.txt
	test -x $(DEMO)/bin/python || $(PYTHON) -m venv $(DEMO)
	$(DEMO)/bin/python -m pip install --quiet -c constraints.txt -e .
	touch $@

# The base install beside a NumPy that the OpenCV of JetPack and Debian was built for.
$(NUMPY_1)/ready: $(VENV)/ready
	test -x $(NUMPY_1)/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python $(NUMPY_1)
	$(BIN)/uv pip install --quiet --python $(NUMPY_1)/bin/python -e . "numpy<2"
	touch $@

bench: setup  ## the speed table; results into benchmarks/results
	$(BIN)/python -m benchmarks.cpu_reference

build: setup  ## wheel and sdist in dist/
	$(BIN)/python -m hatchling build -t sdist -t wheel

constraints: setup  ## newest versions that fit, for every extra, into constraints.txt
	echo '# Tested versions for every extra: `make constraints` writes this file.' > constraints.new
	$(BIN)/uv pip compile --quiet --universal --upgrade --no-header --no-annotate \
	  --python-version 3.10 --all-extras pyproject.toml >> constraints.new
	mv constraints.new constraints.txt

clean:  ## environments and what tools left
	rm -rf $(VENV) $(DEMO) $(NUMPY_1) dist demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Trains the bundle that ships in the package, on synthetic parts; a few minutes on two cores. Half the preset's width
# finds as much here, and keeps the base install below its limit.
demo-bundle: setup  ## edgeinspect/demo_bundle, anew
	rm -rf build/demo && mkdir -p build/demo
	$(BIN)/edgeinspect synth build/demo/metal --surface brushed --n-good 240 --size 256 --seed 0
	OMP_NUM_THREADS=2 $(BIN)/edgeinspect fit build/demo/metal/train/good build/demo/demo.bundle \
	  --preset nano --target pixels --set width=64 --steps 1200 --device cpu --false-reject-rate 0.02
	# Constants by position in the block: those by pixel would be 4 MB.
	$(BIN)/edgeinspect calibrate build/demo/demo.bundle build/demo/metal/train/good \
	  --skip-training-pictures --normalisation block --false-reject-rate 0.02
	rm -rf edgeinspect/demo_bundle && cp -r build/demo/demo.bundle edgeinspect/demo_bundle
	rm -f edgeinspect/demo_bundle/.lock
