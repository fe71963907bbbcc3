# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
# Short names for the few commands that everybody types.

PRESET ?= release
BUILD  := $(if $(filter release,$(PRESET)),build,build/$(PRESET))

.PHONY: help setup configure build test test-sanitize demo bench lint docs

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
