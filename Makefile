# Everything is set up by `make setup`, which the other targets call: nothing has to be installed first but git, make and
# a Python 3 with venv. PYTHON chooses the generation: 3.10 with TFX 1.16, or 3.11 to 3.13 with TFX 1.21.

PYTHON ?= $(shell cat .python-version)
DATA ?=
ARGS ?=
SIZES ?= 10000 100000 200000 1000000
RESULTS ?= runs/benchmarks

# For the image: its name, what it is built on, and what a host needs to reach the index by; see kubeflow/Dockerfile.
IMAGE ?= higgs:$(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
BASE_IMAGE ?= debian:trixie-slim
PIP_CONFIG ?=
CA ?=
DOCKER ?= docker

VENV := .venv$(if $(filter-out $(shell cat .python-version),$(PYTHON)),-$(PYTHON))
BIN := $(VENV)/bin
UV := .uv/bin/uv
READY := $(VENV)/.ready

# One package of TFDV's comes as C++ source only. Where there is no compiler, the index has one too.
ZIG := $(CURDIR)/.uv/bin/python -m ziglang

PYTEST = $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

BUILD = DOCKER_BUILDKIT=1 $(DOCKER) build --network host --file kubeflow/Dockerfile \
	--build-arg BASE_IMAGE=$(BASE_IMAGE) \
	$(if $(PIP_CONFIG),--secret id=pip$(comma)src=$(PIP_CONFIG)) $(if $(CA),--secret id=ca$(comma)src=$(CA))
comma := ,

MVN ?= mvn

.PHONY: run test test-all test-kubeflow engines bench setup setup-dev lock lint docs clean image test-image

## Runs the pipeline on DATA=path.csv.gz, or, stopping sooner, on simulated rows; ARGS are handed to `higgs run`.
run: setup
	$(BIN)/higgs run $(if $(DATA),--data '$(DATA)',--simulate --patience 30) $(ARGS)

## Runs the tests but the slow ones, two at a time; ARGS are handed to pytest.
test: setup-dev
	$(PYTEST) -m 'not slow' $(ARGS)

## Runs all tests likewise; those of Flink and Spark if `make engines` can fetch them.
test-all: setup-dev engines
	$(PYTEST) $(ARGS)

## Fetches Flink, Spark and Beam's job servers by their names into .engines, once, if Maven and Java are here: 700 MB.
engines: .engines/.ready

.engines/.ready: benchmarks/engines/pom.xml $(wildcard benchmarks/engines/*/pom.xml)
	@if command -v $(MVN) >/dev/null && command -v java >/dev/null; then \
		rm -rf .engines && \
		$(MVN) --batch-mode --quiet --no-transfer-progress --file benchmarks/engines/pom.xml package && \
		rm -rf .engines/build && touch $@; \
	else \
		echo "Flink and Spark need Java 17 and Maven. Received: no $(MVN) or no java. Skipped."; \
	fi

## Runs the pipeline on the cluster at HIGGS_KFP_ENDPOINT, in HIGGS_IMAGE, and looks at what it serves.
test-kubeflow: setup-dev
	$(BIN)/python -m pytest -rs tests/test_kubeflow_cluster.py $(ARGS)

## Compares stock TFX with ours at SIZES rows; ARGS are handed to `benchmarks.stages`. DATA has real rows to train on.
bench: setup
	$(BIN)/python -m benchmarks.training --to '$(RESULTS)' $(if $(DATA),'$(DATA)')
	$(BIN)/python -m benchmarks.stages --to '$(RESULTS)' $(addprefix --rows ,$(SIZES)) $(ARGS)

## Installs what requirements.txt locks into $(VENV), once.
setup: $(READY)

## Installs what tests and linters need, too.
setup-dev: $(READY)-dev

$(READY): requirements.txt pyproject.toml | $(UV)
	@glibc=$$(getconf GNU_LIBC_VERSION | cut -d' ' -f2); \
	case $(PYTHON) in \
	3.10) ;; \
	3.11|3.12|3.13) [ "$$(printf '2.39\n%s\n' $$glibc | sort -V | head -n 1)" = 2.39 ] || { \
		echo "Python $(PYTHON) gets TFX 1.21, which needs glibc 2.39 or later. Received: glibc $$glibc. Use PYTHON=3.10."; \
		exit 2; } ;; \
	*) echo "PYTHON is 3.10, 3.11, 3.12 or 3.13. Received: $(PYTHON). Use PYTHON=3.10."; exit 2 ;; \
	esac
	@echo "Setting up Python $(PYTHON) and TFX in $(VENV), once. This downloads about 1 GB and takes one to three minutes."
	$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@command -v g++ >/dev/null || \
		.uv/bin/python -m pip install --quiet --require-hashes --requirement requirements-compiler.txt
	@command -v g++ >/dev/null || export CC='$(ZIG) cc' CXX='$(ZIG) c++'; \
		VIRTUAL_ENV=$(VENV) $(UV) pip sync --quiet --require-hashes --compile-bytecode requirements.txt
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

$(READY)-dev: requirements-dev.txt $(READY)
	VIRTUAL_ENV=$(VENV) $(UV) pip install --quiet --require-hashes --compile-bytecode --requirement requirements-dev.txt
	@touch $@

# The lock pins uv itself, with its hashes, so pip need not trust anything else.
$(UV): requirements.txt
	python3 -m venv .uv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.txt > .uv/uv.txt
	.uv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement .uv/uv.txt
	@touch $@

## Builds the image for Kubeflow. Needs Docker with BuildKit: 23 or later, or 20.10 with its own client.
image:
	$(BUILD) --tag $(IMAGE) .

## Runs the tests in the image; ARGS are handed to pytest.
test-image: image
	$(BUILD) --target test --tag $(IMAGE)-test .
	$(DOCKER) run --rm --network none --volume '$(CURDIR):/src:ro' --workdir /src $(IMAGE)-test \
		python -m pytest -p no:cacheprovider $(ARGS)

LOCK = $(UV) pip compile --quiet --generate-hashes --no-header --no-annotate --no-strip-extras

## Writes the locks anew, for every Python at once: of a run, of the tests, of the compiler.
lock: $(UV)
	$(LOCK) --universal --python-version 3.10 --output-file requirements.txt requirements.in
	$(LOCK) --universal --python-version 3.10 --output-file requirements-dev.txt requirements-dev.in
	echo ziglang | $(LOCK) --output-file requirements-compiler.txt -

## Looks for what a linter finds, for code that is not formatted, and for types that do not fit.
lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

## Writes the settings and the command reference anew.
docs: setup
	$(BIN)/python docs/reference.py

## Removes what setup installed. Runs and data stay.
clean:
	rm -rf .uv .venv .venv-* .engines
