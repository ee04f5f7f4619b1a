# The front of setup_env.py, which does the work: `python3 setup_env.py demo` is `make demo`.
# Options go in ARGS: make demo ARGS="--seed 1", make test ARGS="-k edge", make bench ARGS="--quick"
PYTHON ?= python3
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test check bench results clean

help:  ## these lines
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 18
install:  ## .venv with the package in it
	@$(PYTHON) setup_env.py install
demo:  ## four nodes learn together on this machine, offline
	@$(PYTHON) setup_env.py demo $(ARGS)
test:  ## the tests
	@$(PYTHON) setup_env.py test $(ARGS)
check:  ## format, lint, types, layers, generated stubs
	@$(PYTHON) setup_env.py check
bench:  ## every benchmark (ARGS=--quick for less work)
	@$(PYTHON) setup_env.py bench $(ARGS)
results:  ## docs/results.md from the figures of `make bench`
	@$(PYTHON) setup_env.py results $(ARGS)
clean:  ## remove .venv and caches; runs/ stays
	@rm -rf .venv build .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
