# Everything runs in .venv, which the first target makes: only Python 3.11+ and make are needed.
PYTHON ?= python3
BIN := .venv/bin
# Processes that tests start read the bytecode that the first of them wrote.
unexport PYTHONDONTWRITEBYTECODE
# Tests run in a process a core, up to eight: make test PYTEST="-n 0 -k quantizer"
PYTEST ?= -n auto --maxprocesses 8 --dist worksteal

.PHONY: demo test quick mutants properties check docs site bench picture figures clean

demo: .venv/run.stamp
	$(BIN)/esnsim cost builtin:resnet20 --bits-per-filter

test: .venv/test.stamp
	$(BIN)/python -m pytest $(PYTEST)

# What a developer wants between edits: the laws and the small tests, in under a minute.
QUICK := tests/test_laws.py tests/test_metrics.py tests/test_quantizer.py tests/test_steps.py \
  tests/test_network.py tests/test_digital.py tests/test_kernels.py tests/test_api.py \
  tests/test_moved.py tests/test_blocks.py tests/importer/test_products.py \
  tests/importer/test_convolutions.py tests/importer/test_quantized.py tests/analog/test_ideal.py

quick: .venv/test.stamp
	HYPOTHESIS_PROFILE=local $(BIN)/python -m pytest $(PYTEST) $(QUICK)

# Whether tests notice changes in the rooms where numbers are made (docs/testing.md)
mutants: .venv/test.stamp
	$(BIN)/python -m tests.mutants

properties: .venv/test.stamp
	HYPOTHESIS_PROFILE=properties $(BIN)/python -m pytest $(PYTEST) -m hypothesis

check: .venv/test.stamp
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The site in build/site, warnings as errors: pages, reference, search, tutorials as notebooks
docs: .venv/docs.stamp
	$(BIN)/python -m mkdocs build --strict --quiet

# The site of this version beside those of others, on the branch gh-pages (docs/releasing.md)
site: .venv/docs.stamp
	$(BIN)/mike deploy --update-aliases $$($(BIN)/esnsim --version | cut -d ' ' -f 2) latest
	$(BIN)/mike set-default latest

# A benchmark against peers or goals (docs/benchmarks.md): make bench BENCH=engines
BENCH ?= cost

bench: .venv/bench.stamp
	$(BIN)/python -m benchmarks $(BENCH)

picture: .venv/report.stamp
	$(BIN)/python -m benchmarks.picture

# The paper's figures in their quick form: make figures DATA=folder START=builtin (docs/paper.md)
FIGURES := fig2 fig3 fig4 fig5 fig6 fig8 fig9 fig10

figures: .venv/report.stamp .venv/train.stamp
	for figure in $(FIGURES); do \
	  $(BIN)/python -m benchmarks.paper $$figure --data "$(DATA)" --quick --resume \
	    $(if $(START),--start $(START)) || exit 1; done

.venv/run.stamp: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/%.stamp: .venv/run.stamp constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[$*]'
	touch $@

clean:
	rm -rf .venv build dist
