# Each verb sets up .venv by itself; nothing else needs to be installed by hand.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= demo-home
FUZZ_SECONDS ?= 300
STAMP := $(VENV)/.installed

.PHONY: install demo up test check bench chaos fuzz fmt lock clean

install: $(STAMP)  ## .venv with everything in it; again after pyproject.toml changed

demo: $(STAMP)  ## a real backfill against a local synthetic vendor
	$(BIN)/mdc demo $(DEMO)

up: $(STAMP)  ## the Dagster web UI, daemon and workers on the demo's home
	@test -f $(DEMO)/mdc.toml || $(BIN)/mdc demo $(DEMO)
	$(BIN)/mdc up $(DEMO)

# Three at once also on two cores: one of them serves the drills, which mostly wait.
test: $(STAMP)  ## all tests but the long drills
	$(BIN)/pytest -n 3 --dist loadgroup

check: $(STAMP)  ## style, types, import contracts, documents in step with the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.docs_drift

bench: $(STAMP)  ## every figure beside its yardstick
	$(BIN)/python -m tests.bench

chaos: $(STAMP)  ## kill -9 and power loss, for a long time
	$(BIN)/pytest -m chaos --timeout=3600

fuzz: $(STAMP)  ## any bytes through every decoder, for a long time
	MDC_FUZZ_EXAMPLES=5000 $(BIN)/pytest tests/providers/test_fuzz.py -n 2 --timeout=3600
	$(BIN)/python -m tests.providers.fuzz --seconds $(FUZZ_SECONDS)

fmt: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock:  ## resolve requirements.lock anew from pyproject.toml (needs uv)
	uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-annotate --no-header --no-emit-index-url --no-emit-find-links -o requirements.lock

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO) dist build
