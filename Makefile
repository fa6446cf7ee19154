# Set-up needs Python 3.11 to 3.13 and make; every target that needs the packages installs them first.
# `make PYTHON=/path/to/python3.12 run` chooses the interpreter by hand.
PY := .venv/bin/python
UV := $(PY) -m uv pip install --quiet --python $(PY)
READY := .venv/.ready
NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
SOLUTIONS := $(sort $(wildcard notebooks/solutions/*.ipynb))
# All of benchmarks/ but what the others import, and the search, which chooses the defaults and takes an hour.
BENCHMARKS := $(filter-out $(patsubst %,benchmarks/%.py,common courses peers search),$(wildcard benchmarks/*.py))
# Tests that start whole runs, sweeps, kernels and clusters, in processes of their own.
RUN_TESTS := $(addprefix tests/course/test_,runs.py sweep_run.py other_data.py exercises.py) \
	tests/test_scale_faults.py
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && echo $$p && break; done)
# Where JupyterLab starts, and options that are handed on: `make lab LAB_OPTIONS='--no-browser --port=8890'`.
LAB_ROOT := .
LAB_OPTIONS :=
# A fresh folder for everything that notebooks and tests read and write, removed afterwards.
FRESH := root=$$(mktemp -d) && trap 'rm -rf "$$root"' EXIT && trap 'exit 130' INT TERM && \
	BPR_ROOT="$$root" TQDM_DISABLE=1

# Without byte code every import of tensorflow costs 8 s more.
unexport PYTHONDONTWRITEBYTECODE
# The kernel "python3" is that of the environment, whatever else is installed.
unexport JUPYTER_PATH
export JUPYTER_PREFER_ENV_PATH := 1
export TF_CPP_MIN_LOG_LEVEL := 3
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help run test test-unit test-runs test-notebooks test-browser lab lint bench site notebooks exercises clean \
	moved
.NOTPARALLEL:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-15s %s\n", $$1, $$2}' Makefile

run: $(READY) ## notebooks 01 to 04 on MovieLens-100K through papermill, into runs/default/
	.venv/bin/bpr run --run-dir runs/default

test: test-unit test-runs test-notebooks ## the whole test suite

# Three at a time on two cores, since many of these tests wait for processes that they have started.
test-unit: $(READY) ## its first part: unit and property tests
	@$(FRESH) $(PY) -m pytest tests bpr_helpers --doctest-modules $(addprefix --ignore=,$(RUN_TESTS)) \
		-n 3 --dist loadfile

test-runs: $(READY) ## its second part: whole runs and sweeps, killed and resumed, and other data
	@$(FRESH) $(PY) -m pytest $(RUN_TESTS) -n 3 --dist load

test-notebooks: $(READY) ## its third part: every notebook, in order, since they share a run folder
	@$(FRESH) $(PY) -m pytest --nbval --nbval-current-env --nbval-cell-timeout=300 \
		--junitxml="$$root/cells.xml" $(NOTEBOOKS) $(SOLUTIONS) && $(PY) docs/notebooks.py "$$root/cells.xml"

# Its terminals find `bpr` and `papermill`; it refuses root (a container, mostly) unless told otherwise.
lab: $(READY) ## JupyterLab at the repository's root, with the first notebook open
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m jupyterlab \
		$(if $(filter 0,$(shell id -u)),--allow-root) --ServerApp.root_dir="$(LAB_ROOT)" \
		--ServerApp.terminado_settings=shell_command="$${SHELL:-sh}" \
		--MappingKernelManager.transport_encryption=auto \
		$(LAB_OPTIONS) "$(LAB_ROOT)/$(firstword $(NOTEBOOKS))"

test-browser: $(READY) ## the notebooks in JupyterLab, in a real browser (needs Chromium; ten minutes)
	$(UV) --constraint requirements.lock --no-build-isolation -e '.[browser]'
	$(PY) -m pytest -rs tests/browser

lint: $(READY) ## style and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(READY) ## compare with other libraries: speed, memory and quality (long)
	$(UV) --constraint requirements.lock --no-build-isolation -e '.[bench]'
	@status=0; for script in $(BENCHMARKS); do \
		echo "== $$script"; $(PY) $$script || status=1; done; exit $$status

site: $(READY) docs/_build/static/tex-svg.js ## the site, into docs/_build/html (needs npm, for MathJax)
	$(UV) --constraint requirements.lock --no-build-isolation -e '.[site]'
	$(PY) -m sphinx -q -W --keep-going -c docs . docs/_build/html
	@echo "The site is in docs/_build/html/docs/index.html"

docs/_build/static/tex-svg.js:
	npm install --silent --no-save --prefix docs/_build/npm mathjax@3.2.2
	mkdir -p $(@D) && cp docs/_build/npm/node_modules/mathjax/es5/tex-svg.js $@

notebooks: $(READY) ## execute the committed notebooks again, in place and in order
	@$(FRESH) $(PY) -m nbconvert --to notebook --execute --inplace \
		--ExecutePreprocessor.timeout=600 --ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.store_widget_state=False $(NOTEBOOKS) $(SOLUTIONS)

exercises: $(READY) ## write notebooks/exercises/ anew from notebooks/solutions/
	$(PY) docs/exercises.py

clean: ## remove .venv, caches and the built site; runs/ and downloaded data stay
	rm -rf .venv docs/_build .pytest_cache .hypothesis .ruff_cache .mypy_cache *.egg-info
	find . -name __pycache__ -prune -exec rm -rf {} +

# An environment knows its absolute path: set up again where the folder was moved or copied.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
$(READY): moved
endif

$(READY): requirements.lock pyproject.toml
	@test -n '$(PYTHON)' || { echo 'No Python 3.11, 3.12 or 3.13 was found: install one (python.org),' \
		'or name one with `make PYTHON=/path/to/python3.12 ...`.' >&2; exit 1; }
	@$(PY) -c '$(SUPPORTED)' 2>/dev/null || $(PYTHON) -m venv --clear .venv || { echo \
		'No environment could be made: on Debian and Ubuntu, install the package python3-venv.' >&2; exit 1; }
	$(PY) -m pip install --quiet uv==0.13.9
	$(UV) --compile-bytecode --require-hashes -r requirements.lock
	$(UV) --no-deps --no-build-isolation -e .
	@pwd > $@
