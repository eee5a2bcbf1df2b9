# Everything here makes its own virtual environment in .venv; only python3, pip and make are needed.
PYTHON ?= python3
BIN = .venv/bin
PIP = PIP_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/pip install --quiet

.PHONY: demo test check coverage soak clean

demo: .venv/ready-to-run
	$(BIN)/hub demo

test: check .venv/ready-to-test
	$(BIN)/pytest --numprocesses 4 --dist worksteal

check: .venv/ready-to-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: .venv/ready-to-test
	$(BIN)/pytest --numprocesses 3 --dist worksteal --cov --cov-report=term

soak: .venv/ready-to-test
	HUB_SOAK=1 $(BIN)/pytest --timeout 3600

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage

.venv/bin/pip:
	$(PYTHON) -m venv .venv

.venv/ready-to-run: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[speed]'
	touch $@

.venv/ready-to-test: pyproject.toml constraints.txt | .venv/bin/pip
	$(PIP) --editable '.[speed,test]'
	touch $@ .venv/ready-to-run
