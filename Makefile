# Thin names for real commands. `make study` and `make test` set up .venv by themselves.
#
#   PYTHON       the Python that makes .venv (3.11 to 3.13)
#   TORCH_INDEX  package index to take torch from, such as
#                https://download.pytorch.org/whl/cpu for the small CPU build
#   ARGS         further arguments of snakemake or pytest

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin

.PHONY: study test lint format bench lock setup setup-dev clean

study: setup
	@sh workflow/study.sh $(BIN)/snakemake $(ARGS)

test: setup-dev
	$(BIN)/python -m pytest $(ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

bench: setup-dev
	$(BIN)/python -m tests.bench $(ARGS)

setup: $(VENV)/.host
setup-dev: $(VENV)/.dev

$(VENV)/.host: envs/host.txt envs/torch.txt envs/setup.sh
	sh envs/setup.sh host "$(PYTHON)" "$(TORCH_INDEX)"

$(VENV)/.dev: $(VENV)/.host envs/dev.txt
	sh envs/setup.sh dev "$(PYTHON)" "$(TORCH_INDEX)"

# Needs uv (pip install uv). The locks hold for all supported versions of Python.
NO_TORCH := $(foreach name,torch torchvision sympy mpmath setuptools,--no-emit-package $(name))

lock:
	for name in host dev anomalib; do (cd envs && uv pip compile -q --universal --python-version 3.11 \
	    --no-header --override without-torch.txt $(NO_TORCH) $$name.in -o $$name.txt) || exit 1; done

clean:
	rm -rf $(VENV) .snakemake .mypy_cache .ruff_cache .pytest_cache .hypothesis
