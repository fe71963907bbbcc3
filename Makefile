# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Short names for the few commands that everybody types.

PRESET ?= release
BUILD  := $(if $(filter release,$(PRESET)),build,build/$(PRESET))
# A git worktree shares the environment of the main checkout.
PYTHON := $(dir $(shell git rev-parse --path-format=absolute \
  --git-common-dir))/.venv/bin/python

.PHONY: help setup configure build test test-sanitize fuzz demo bench dist lint \
  docs

help: ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup: ## Install compilers and Python packages (idempotent)
	@tools/setup.sh

# The build file is the stamp: ninja itself runs CMake again when needed. The
# set-up costs a few milliseconds once it has been done.
$(BUILD)/build.ninja: | setup
	cmake --preset $(PRESET) --log-level=NOTICE

build: $(BUILD)/build.ninja ## Build everything (PRESET=release|debug|sanitize)
	@ninja -C $(BUILD)

test: $(BUILD)/build.ninja ## Build and run every test
	@ninja -C $(BUILD) all lathe-test-depends
	@python3 tools/test.py $(BUILD) $(TESTS)

test-sanitize: ## The same under ASan and UBSan
	@$(MAKE) --no-print-directory test PRESET=sanitize

# Not a part of `make test`, which it would make two minutes longer.
DIST := $(CURDIR)/dist/lathe-linux-x86_64.tar.xz
dist: $(BUILD)/build.ninja ## Pack an archive that runs where nothing is installed
	@ninja -C $(BUILD) all portable
	@tools/dist/pack.sh $(BUILD) $(DIST)
	@LATHE_DIST=$(DIST) python3 tools/test.py $(BUILD) test/tools/dist

# One core for an hour or two. RUNS and SEED may be given.
fuzz: ## Read 100,000 damaged files of each kind under ASan
	@$(MAKE) --no-print-directory build PRESET=sanitize
	@ninja -C build/sanitize lathe-fuzz write-test-bundle
	@$(PYTHON) tools/lathe-fuzz/fuzz.py build/sanitize --runs $(or $(RUNS),100000) \
	  --seed $(or $(SEED),1)

lint: ## Check layering, names, sizes and format
	@python3 tools/lint/lint.py

docs: $(BUILD)/build.ninja ## Generate the dialect and pass reference
	@ninja -C $(BUILD) mlir-doc
	@echo "reference pages: $(BUILD)/docs"

# Samples and benchmarks are rooms: each brings its own program.
demo: build ## Compile and run the samples
	@test -x samples/run.sh || { echo "no samples yet" >&2; exit 1; }
	@samples/run.sh

bench: build ## Run the benchmarks
	@test -x benchmarks/run.sh || { echo "no benchmarks yet" >&2; exit 1; }
	@benchmarks/run.sh
