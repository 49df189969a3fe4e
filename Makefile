# `make run` serves the app to this machine, `make serve` to the network, `make share` to anybody for a while; `make test` checks it. They make .venv first; Python 3.11 or newer is all they need.
PYTHON ?= python3
PORT ?= 8501
ADDRESS ?= 0.0.0.0
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
RUN := $(VENV)/.run
DEV := $(VENV)/.dev
BENCH := $(VENV)/.bench

.PHONY: run serve share test lint format messages lock audit bench clean

run: $(RUN)
	$(BIN)/streamlit run app.py --server.port $(PORT)

# Refuses, and says what to set, unless strangers are meant (PARLANCE_IS_PUBLIC=1) or all of the network is trusted.
serve: $(RUN)
	$(BIN)/streamlit run app.py --server.port $(PORT) --server.address $(ADDRESS) --server.headless true

# Lets anybody in for a while: asks first, and needs cloudflared, ngrok or tailscale.
share: $(RUN)
	$(BIN)/python -m engine.http.tunnel --port $(PORT)

test: $(DEV)
	sh tests/browser.sh
	sh tests/postgres.sh
	-$(BIN)/python -m engine.catalogue
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile $(ARGS)

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(DEV)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

messages: $(DEV)
	$(BIN)/python -m engine.translations

# What the image installs, by hash, from PyPI as it is now.
lock: $(DEV)
	$(BIN)/python -m pip install --quiet uv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/lock.py

# Whether those files are still PyPI's, none taken back, and none has a known fault (which needs PyPI's list of those).
audit: $(DEV)
	$(BIN)/python -m pip install --quiet uv pip-audit
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python .ci/lock.py --check
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r requirements-image.txt -r requirements-image-cuda.txt

bench: $(BENCH)
	sh tests/browser.sh
	-$(BIN)/python -m engine.catalogue
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "Parlance needs Python 3.11 or newer: make PYTHON=python3.11"'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(RUN): requirements.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	touch $@

$(DEV): requirements-dev.txt requirements-host.txt $(RUN)
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	touch $@

$(BENCH): requirements-benchmarks.txt $(RUN)
	$(BIN)/python -m pip install --quiet -r requirements-benchmarks.txt
	touch $@
