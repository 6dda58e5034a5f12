# Thin names for real commands. `make study` and `make test` set up .venv by themselves.
#
#   PYTHON       the Python that makes .venv (3.11 to 3.13)
#   TORCH_INDEX  package index to take torch from, such as
#                https://download.pytorch.org/whl/cpu for the small CPU build
#   ARGS         further arguments of snakemake or pytest
#   WORKERS      how many processes run tests; each may take 4 GB

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin

.PHONY: study test test-slow lint format bench gpu-check docs docs-links lock setup setup-dev clean
.PHONY: image image-check image-digest test-cuda12 test-container test-slurm

study: setup
	@sh workflow/study.sh $(BIN)/snakemake $(ARGS)

# One process with ARGS="-n 0" or ARGS="-p no:xdist"; what runs when is in docs/contributing.md.
PARALLEL = $(if $(findstring no:xdist,$(ARGS)),,-n $(WORKERS) --dist loadfile --no-loadscope-reorder)

test: setup-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow" $(ARGS)

# What takes minutes: the same as `make test` for more methods, sizes and pages.
test-slow: setup-dev
	$(BIN)/python -m pytest $(PARALLEL) -m slow $(ARGS)

lint: setup-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

format: setup-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/snakefmt Snakefile workflow

bench: setup-dev
	$(BIN)/python -m tests.bench $(ARGS)

# Exit code 3 where there is no GPU; make itself then ends with 2.
gpu-check: setup-dev
	$(BIN)/python -m analysis gpu-check $(ARGS)

# The documentation as a site in build/docs; warnings are errors. `docs-links` fetches the links to
# other sites and lists them in build/links/output.txt.
docs: setup-dev
	$(BIN)/python -m adscale.describe
	$(BIN)/python -m analysis.describe
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b html docs build/docs
	@echo "build/docs/index.html"

docs-links: setup-dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -b linkcheck docs build/links

# The container; its variables, and what it needs, are in docs/container.md.
export BASE_IMAGE LOCK IMAGE SIF ENGINE BUILD_ARGS BUILD_COMMAND SOURCE

image:
	@sh envs/image.sh build
	@sh envs/image.sh sif
	@sh envs/image.sh check

image-check image-digest:
	@sh envs/image.sh $(@:image-%=%)

test-container: setup-dev
	ADSCALE_TEST_CONTAINER=1 $(BIN)/python -m pytest -m container $(ARGS)

# A real SLURM of one node, installed and started for the time of the tests; as root, on Debian.
test-slurm: setup-dev
	ADSCALE_TEST_SLURM=1 $(BIN)/python -m pytest -m slurm $(ARGS)

# The packages of the container for CUDA 12.4, on a CPU, without a container; PYTHON: 3.10 to 3.12.
CUDA12 := build/cuda12

test-cuda12: $(CUDA12)/.installed
	$(CUDA12)/bin/python -m pytest -m "not study" $(ARGS)

$(CUDA12)/.installed: envs/container.txt envs/container-test.txt
	$(PYTHON) -m venv --clear $(CUDA12)
	$(CUDA12)/bin/python -m pip install -q --no-cache-dir --require-hashes -r envs/container.txt
	$(CUDA12)/bin/python -m pip install -q -r envs/container-test.txt
	touch $@

setup: $(VENV)/.host
setup-dev: $(VENV)/.dev

$(VENV)/.host: envs/host.txt envs/torch.txt envs/setup.sh
	sh envs/setup.sh host "$(PYTHON)" "$(TORCH_INDEX)"

$(VENV)/.dev: $(VENV)/.host envs/dev.txt
	sh envs/setup.sh dev "$(PYTHON)" "$(TORCH_INDEX)"

# Needs uv (pip install uv). The locks hold for all supported versions of Python.
NO_TORCH := $(foreach name,torch torchvision sympy mpmath setuptools,--no-emit-package $(name))

lock:
	for name in host dev anomalib engines engines-cuda; do (cd envs && uv pip compile -q --universal --python-version 3.11 \
	    --no-header --override without-torch.txt $(NO_TORCH) $$name.in -o $$name.txt) || exit 1; done
	cd envs && uv pip compile -q --universal --python-version 3.10 --no-header --generate-hashes \
	    container.in -o container.txt
	cd envs && uv pip compile -q --universal --python-version 3.11 --no-header --generate-hashes \
	    container-cpu.in -o container-cpu.txt
	cd envs && uv pip compile -q --universal --python-version 3.10 --no-header \
	    container-test.in -o container-test.txt

clean:
	rm -rf $(VENV) .snakemake .mypy_cache .ruff_cache .pytest_cache .hypothesis
