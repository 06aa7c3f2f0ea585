# `make run` and `make test` are all a fresh machine needs: Python (PYTHON=python3.12 for another than 3.11), Java 17, 21
# or 25, make and the package registries.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin

# Without bytecode files each command that a test starts would compile all of its modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-long test-stores versions wheel docs doctests setup constraints figures faults histories mutants lint types clean

run: $(VENV)/.run
	$(BIN)/helix run jobs/census.py

# Types are checked meanwhile, which takes a core most of a minute; what is wrong with them is told when tests have run.
# Tests often wait for Java and for other processes: a third process keeps two cores at work.
test: $(VENV)/.dev lint
	@$(BIN)/mypy > $(VENV)/types.log & types=$$!; \
	$(BIN)/python -m pytest -n 4 --dist loadscope; tests=$$?; \
	wait $$types || tests=1; cat $(VENV)/types.log; exit $$tests

# What takes minutes and seldom breaks: a cluster, a browser, an MLflow server, a notebook, the larger jobs, edits of
# jobs against runs from scratch, ways to start Spark.
test-long: $(VENV)/.dev
	$(BIN)/python -m pytest -m long

# A real server of S3, of Azure's store and of Google's, installed into the environment and started on this machine. Takes
# Go and npm.
test-stores: $(VENV)/.dev
	$(BIN)/python -m tests.stores.servers install
	$(BIN)/python -m pytest -m stores

# Unit tests on each Python, the census job on each with each pair of pyspark and delta-spark. Takes what Pythons there
# are in the PATH or with pyenv, makes an environment for each below .versions.
versions: $(VENV)/.dev
	$(BIN)/python -m tests.versions

# The wheel of this tree, in `dist`.
wheel: | $(BIN)/uv
	$(BIN)/uv build --quiet --wheel --out-dir dist

# The documentation site, in `site`: a link that leads nowhere is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

# The figures of the README, one after the other on a machine with nothing else to do: most of a day on two cores.
figures: $(VENV)/.dev
	$(BIN)/python -m benchmarks.reuse undeclared
	$(BIN)/python -m benchmarks.policies --works 200
	$(BIN)/python -m benchmarks.answers
	$(BIN)/python -m benchmarks.programs income
	$(BIN)/python -m benchmarks.programs jobs --edits 2
	$(BIN)/python -m benchmarks.reuse edits
	$(BIN)/python -m benchmarks.iterations --scripts 0 --systems helix plain checkpoints --save figures
	$(BIN)/python -m benchmarks.iterations --scripts 1 2 3 4 5 --save figures
	$(BIN)/python -m benchmarks.iterations --scripts 0 --mode script --save figures
	$(BIN)/python -m benchmarks.iterations --scripts 0 --mode kept --workloads census extraction --save figures
	$(BIN)/python -m benchmarks.iterations --report --save figures
	$(BIN)/python -m tests.faults --save figures

setup: $(VENV)/.dev

# About an hour and a half on two cores; `--only WORDS` injects some of them.
faults: $(VENV)/.dev
	$(BIN)/python -m tests.faults --save benchmarks/results

# 50,000 short histories of two to five drivers on a simulated catalog, about an hour on two cores.
histories: $(VENV)/.dev
	$(BIN)/python -m tests.interleavings --save benchmarks/results

# Small mistakes planted into four rooms, fifteen into each: which of them the unit tests find. Some twenty minutes.
mutants: $(VENV)/.dev
	$(BIN)/python -m tests.mutants --save benchmarks/results

# The examples in pyspark's own docstrings, by plain PySpark and twice under Helix: some hours on two cores.
doctests: $(VENV)/.dev
	$(BIN)/python -m tests.pyspark_examples --save benchmarks/results/doctests.json

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/codespell README.md CONTRIBUTING.md CHANGELOG.md SECURITY.md docs helix_spark benchmarks/README.md

types: $(VENV)/.dev
	$(BIN)/mypy

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# Downloads, unpacks and compiles many packages at a time, by the index, the certificate and the patience of pip.
$(BIN)/uv: | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
export UV_HTTP_TIMEOUT ?= $(or $(PIP_DEFAULT_TIMEOUT),120)
ifdef PIP_CERT
export SSL_CERT_FILE ?= $(PIP_CERT)
endif

INSTALL := $(BIN)/uv pip install --quiet --compile-bytecode --python $(BIN)/python --constraint constraints.txt

# A marker says that all is installed, until one of its files is edited; so the second time costs nothing.
$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e .
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[docs]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/uv
	$(INSTALL) -e '.[jobs,ui,mlflow,stores,dev]'
	touch $@ $(VENV)/.run $(VENV)/.docs

# Writes anew with which versions people develop, on any supported Python: the newest that pyproject.toml allows. And the
# digests of the jars that go with them.
constraints: $(VENV)/.dev
	$(BIN)/uv pip compile --quiet --universal --upgrade --python-version 3.10 --no-annotate --no-header \
	    --extra jobs --extra ui --extra mlflow --extra stores --extra bench --extra dev \
	    --output-file constraints.txt pyproject.toml
	$(BIN)/python -m benchmarks.jar_digests

clean:
	rm -rf site $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
