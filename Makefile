# llama2py: the C library, ./run and everything around them. `make help` lists the targets.
#
#   make config=release   (default) optimised
#   make config=debug     assertions, no optimisation
#   make config=asan      address and undefined-behaviour sanitizers
#   make config=scalar    optimised, the scalar kernels only: what a new architecture starts from

config ?= release
CC ?= cc
PYTHON ?= python3

BUILD := build/$(config)
VENV := .venv

# -ffp-contract=off: where a product and a sum are fused is written in the code, not left to the compiler.
CFLAGS_COMMON := -std=c11 -Wall -Wextra -ffp-contract=off -fopenmp -fvisibility=hidden -fPIC -Icsrc -MMD -MP $(CFLAGS)
CFLAGS_release := -O3 -g -DNDEBUG
CFLAGS_debug := -O0 -g
CFLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
CFLAGS_scalar := -O3 -g -DNDEBUG -DLLAMA2_SCALAR_ONLY
ifeq ($(CFLAGS_$(config)),)
$(error config=$(config) is not known; expected release, debug, asan or scalar)
endif
FLAGS := $(CFLAGS_COMMON) $(CFLAGS_$(config))

SOURCES := $(sort $(wildcard csrc/*/*.c)) csrc/api.c
OBJECTS := $(SOURCES:csrc/%.c=$(BUILD)/%.o)
TESTS := $(patsubst tests/c/%.c,%,$(wildcard tests/c/test_*.c))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help lib test-c clean FORCE

all: lib run ## The static library and ./run (config=release|debug|asan|scalar)

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

lib: $(BUILD)/libllama2.a

$(BUILD)/%.o: csrc/%.c
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -c $< -o $@

$(BUILD)/libllama2.a: $(OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^

$(BUILD)/run: csrc/run.c $(BUILD)/libllama2.a
	$(CC) $(FLAGS) $(LDFLAGS) $^ -lm -o $@

run: $(BUILD)/run FORCE ## ./run, the drop-in for llama2.c's
	@cmp -s $< $@ || cp $< $@

$(BUILD)/tests/%: tests/c/%.c $(BUILD)/libllama2.a
	@mkdir -p $(@D)
	$(CC) $(FLAGS) -UNDEBUG $(LDFLAGS) $^ -lm -o $@

test-c: $(TESTS:%=$(BUILD)/tests/%) ## The C tests, with the chosen config
	@set -e; for t in $^; do echo "$$t"; $$t; done

clean: ## Remove what was built
	rm -rf build run

-include $(OBJECTS:.o=.d) $(BUILD)/run.d
