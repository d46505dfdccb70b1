# Two commands from a fresh clone, with nothing but Python 3 (3.10 or newer) on the machine:
#   make demo    compiles the bundled network and classifies real images with it
#   make test    runs all tests
# Both set up .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint fuzz conformance bench bench-interpreters bench-forms bench-mcu mcu-costs clean

demo: $(VENV)/ready
	@$(BIN)/python examples/digits/demo.py

test: $(VENV)/ready-dev
	$(BIN)/python -m pytest -n auto $(ARGS)

lint: $(VENV)/ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/ready-bench
	$(BIN)/python benchmarks/run.py $(ARGS)

bench-interpreters: $(VENV)/ready-bench
	$(BIN)/python benchmarks/interpreters.py $(ARGS)

bench-forms: $(VENV)/ready-bench
	$(BIN)/python benchmarks/forms.py $(ARGS)

bench-mcu: $(VENV)/ready-dev
	$(BIN)/python benchmarks/mcu/run.py $(ARGS)

mcu-costs: $(VENV)/ready-dev
	$(BIN)/python benchmarks/mcu/costs.py $(ARGS)

fuzz: $(VENV)/ready-dev
	$(BIN)/python tests/fuzz/campaign.py $(ARGS)

conformance: $(VENV)/ready-dev
	$(BIN)/python tests/conformance/ratchet.py

$(VENV)/ready: pyproject.toml
	@echo "setting up $(VENV) (once; downloads the compiler, about 100 MB) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
	  || { echo "nn2wasm needs Python 3.10 or newer; set PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "python3 -m venv does not work here (on Debian: apt install python3-venv)"; exit 1; }
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/ready-dev: $(VENV)/ready
	@echo "setting up what the tests need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[dev]'
	@sh tests/install_wasm3.sh $(BIN)/python
	@sh tests/install_chromium.sh
	@sh tests/install_qemu.sh
	@touch $@

$(VENV)/ready-bench: $(VENV)/ready-dev benchmarks/requirements.txt
	@echo "setting up what the benchmarks need ..."
	@$(BIN)/python -m pip install -q --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

clean:
	rm -rf $(VENV) build dist
