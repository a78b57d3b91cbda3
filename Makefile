# llama2py: the C library, ./run, the Python package and all that checks them. `make help` lists the targets.
#
#   config=release  optimised (the default)
#   config=debug    assertions on, no optimisation; an allocation while a session computes is fatal
#   config=asan     address and undefined-behaviour sanitizers
#   config=tsan     the sanitizer of threads, for tests that compute with one thread: it does not know OpenMP's
#   config=scalar   optimised, with the scalar kernels only: what a new architecture starts from
#   config=fuzz     the sanitizers, and what libFuzzer needs to see of the code; by clang
#   EMULATOR=...    what runs tests in C that are built for another machine

config ?= release
CC ?= cc
PYTHON ?= python3
V ?= 0
EMULATOR :=

BUILD := build/$(config)
VENV := .venv
Q := $(if $(filter 1,$(V)),,@)

# -ffp-contract=off: where a product and a sum are fused is written in the code, not left to the compiler.
FLAGS_release := -O3 -g -DNDEBUG
FLAGS_debug := -O0 -g
FLAGS_asan := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all
FLAGS_tsan := -O1 -g -fno-omit-frame-pointer -fsanitize=thread
FLAGS_scalar := -O3 -g -DNDEBUG -DLLAMA2_SCALAR_ONLY
FLAGS_fuzz := $(FLAGS_asan) -fsanitize=fuzzer-no-link
ifeq ($(FLAGS_$(config)),)
$(error config=$(config) is not known; expected release, debug, asan, tsan, scalar or fuzz)
endif
FLAGS := -std=c11 -Wall -Wextra -ffp-contract=off -fopenmp -fvisibility=hidden -fPIC -Icsrc -MMD -MP \
	$(FLAGS_$(config)) $(CFLAGS)

SOURCES := $(sort $(wildcard csrc/*/*.c)) csrc/api.c
OBJECTS := $(SOURCES:csrc/%.c=$(BUILD)/%.o)
C_TESTS := $(patsubst tests/c/%.c,$(BUILD)/tests/%,$(wildcard tests/c/test_*.c))
FUZZ_TARGETS := checkpoint session tokenizer
FUZZ_SECONDS ?= 60
C_FILES := $(wildcard csrc/*.[ch] csrc/*/*.[ch] csrc/*/*.inc tests/c/*.[ch] tests/fuzz/*.[ch])
PACKAGE := pyproject.toml setup.py llama2py_command.py $(wildcard llama2py/*.py) $(wildcard csrc/*.[ch] csrc/*/*)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.PHONY: all help lib demo judge test test-c test-asan test-neon test-peers fuzz fuzz-readers check format bench bench-peers clean FORCE

all: lib run ## The static library and ./run (config=release|debug|asan|tsan|scalar, V=1 shows commands)

help: ## This list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# C.

lib: $(BUILD)/libllama2.a

$(BUILD)/%.o: csrc/%.c Makefile
	@mkdir -p $(@D)
	@echo "  CC   $<"
	$(Q)$(CC) $(FLAGS) -c $< -o $@

$(BUILD)/libllama2.a: $(OBJECTS)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

$(BUILD)/run: csrc/run.c $(BUILD)/libllama2.a
	@echo "  LINK $@"
	$(Q)$(CC) $(FLAGS) $(LDFLAGS) $(filter %.c %.a,$^) -lm -o $@

run: $(BUILD)/run FORCE ## ./run, the drop-in for llama2.c's
	@cmp -s $< $@ || cp $< $@

$(BUILD)/tests/%: tests/c/%.c $(BUILD)/libllama2.a
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(FLAGS) -UNDEBUG $(LDFLAGS) $(filter %.c %.a,$^) -lm -o $@

# A fuzz target is a program of libFuzzer's, or one that runs the inputs that it is given.
$(BUILD)/tests/fuzz_%: tests/fuzz/%.c tests/fuzz/fuzz.c tests/fuzz/mutate.c tests/fuzz/replay.c $(BUILD)/libllama2.a
	@mkdir -p $(@D)
	@echo "  LINK $@"
	$(Q)$(CC) $(FLAGS) -UNDEBUG $(LDFLAGS) $(if $(filter fuzz,$(config)),-fsanitize=fuzzer $(filter-out %/replay.c,$^),$^) -lm -o $@

# Python: an environment of its own, made anew when what goes into it changes.

PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

$(VENV)/package: $(PACKAGE)
	@$(VENV)/bin/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "  building llama2py into $(VENV), which takes up to a minute on two cores"
	@PYTHONWARNINGS="ignore:Editable installation" $(PIP) --editable .
	@touch $@

# pip knows groups of dependencies from 25.1 on.
$(VENV)/ready: $(VENV)/package
	@echo "  installing what the tests need into $(VENV)"
	@$(PIP) "pip>=25.1"
	@$(PIP) --group test --group dev
	@touch $@

demo: $(VENV)/package ## A story from the model in the box, with figures (CHECKPOINT=FILE: from another; ARGS="-i 'One day'")
	@echo
	@$(VENV)/bin/llama2py run $(if $(CHECKPOINT),"$(CHECKPOINT)") -t 0.8 $(ARGS)
	@echo
	@echo "Another beginning:   $(VENV)/bin/llama2py run -t 0.8 -i 'Once there was a fox'"
	@echo "Your own checkpoint: $(VENV)/bin/llama2py run FILE, a llama2.c .bin or a GGUF file"

judge: $(VENV)/ready ## Measure the stories of the model in the box (ARGS="--model FILE --show 3": another's; with --json)
	@$(VENV)/bin/python models/stories/judge.py $(ARGS)

# Tests.

test: run test-c $(VENV)/ready ## All tests; real checkpoints too where LLAMA2PY_TEST_DATA names their folder
	$(VENV)/bin/python -m pytest

test-c: $(C_TESTS) ## The tests in C, in the chosen config
	@set -e; for t in $^; do $(EMULATOR) $$t; done

test-asan: $(VENV)/ready ## The tests in C, the fuzz corpus and hostile input to ./run, under the sanitizers
	@$(MAKE) --no-print-directory config=asan build/asan/run test-c $(FUZZ_TARGETS:%=build/asan/tests/fuzz_%)
	@set -e; for t in $(FUZZ_TARGETS); do build/asan/tests/fuzz_$$t 20 tests/fuzz/corpus/$$t/*; done
	LLAMA2PY_TEST_RUN=build/asan/run $(VENV)/bin/python -m pytest -q $(addprefix tests/py/,test_bad_input.py test_box.py test_golden.py) -k run

fuzz: ## Hostile files made up for FUZZ_SECONDS (60) by clang's libFuzzer; what fails is kept in build/fuzz
	@$(MAKE) --no-print-directory config=fuzz CC=clang $(FUZZ_TARGETS:%=build/fuzz/tests/fuzz_%)
	@set -e; for t in $(FUZZ_TARGETS); do mkdir -p build/fuzz/corpus/$$t build/fuzz/files; \
	  TMPDIR=build/fuzz/files build/fuzz/tests/fuzz_$$t -artifact_prefix=build/fuzz/$$t- -print_final_stats=1 \
	    -max_total_time=$$(($(FUZZ_SECONDS) / $(words $(FUZZ_TARGETS)))) -max_len=40000 -timeout=20 -rss_limit_mb=1024 \
	    build/fuzz/corpus/$$t tests/fuzz/corpus/$$t > build/fuzz/$$t.log 2>&1 || { tail -n 40 build/fuzz/$$t.log; \
	    echo "make fuzz: the input that fails is $$(sed -n 's/.*Test unit written to //p' build/fuzz/$$t.log);" \
	      "run it with build/fuzz/tests/fuzz_$$t FILE"; exit 1; }; \
	  echo "fuzz $$t: $$(sed -n 's/^stat::number_of_executed_units: *//p' build/fuzz/$$t.log) files, none fails"; done

fuzz-readers: $(VENV)/ready ## Hostile torch files, safetensors and JSON for FUZZ_SECONDS (60), in Python
	LLAMA2PY_FUZZ_SECONDS=$(FUZZ_SECONDS) $(VENV)/bin/python -m pytest -q tests/py/test_fuzz_readers.py

NEON := build/neon
QEMU := qemu-aarch64 -L /usr/aarch64-linux-gnu

test-neon: run $(VENV)/ready ## The tests in C for AArch64, in qemu, and the same logits and texts there as here
	@$(MAKE) --no-print-directory CC=aarch64-linux-gnu-gcc AR=aarch64-linux-gnu-ar BUILD=$(NEON) \
	  EMULATOR="$(QEMU) -cpu max" $(NEON)/run $(NEON)/tests/logits test-c
	LLAMA2PY_TEST_AARCH64="$(QEMU)" $(VENV)/bin/python -m pytest -q tests/py/test_law.py -k aarch64

# What others read and write, in an environment of its own; the package is taken from the source tree.
PEERS_VENV := build/peers-venv

$(PEERS_VENV)/ready: pyproject.toml
	@$(PEERS_VENV)/bin/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear $(PEERS_VENV)
	@echo "  installing torch and others into $(PEERS_VENV)"
	@$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check "pip>=25.1"
	@$(PEERS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --group peers
	@touch $@

test-peers: $(PEERS_VENV)/ready $(VENV)/ready ## Beside torch, transformers, peft and tiktoken: files that they write, and logits
	$(PEERS_VENV)/bin/python -m pytest tests/peers

check: $(VENV)/ready ## Formatting, lint, types, and builds without a warning by gcc and clang
	@for f in $(C_FILES); do clang-format --assume-filename=x.c < $$f | diff -q - $$f > /dev/null || \
	  { echo "$$f: not formatted; run make format"; exit 1; }; done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	@set -e; for cc in gcc clang; do for c in release debug asan scalar; do \
	  echo "  $$cc config=$$c"; \
	  $(MAKE) --no-print-directory CC=$$cc config=$$c BUILD=build/check/$$cc-$$c CFLAGS=-Werror \
	    build/check/$$cc-$$c/run > /dev/null; done; done
	@command -v aarch64-linux-gnu-gcc > /dev/null || { echo "  no aarch64-linux-gnu-gcc: not built for AArch64"; exit 0; }; \
	set -e; for cc in aarch64-linux-gnu-gcc "clang --target=aarch64-linux-gnu"; do \
	  echo "  $$cc"; \
	  $(MAKE) --no-print-directory CC="$$cc" BUILD="build/check/$${cc%% *}-aarch64" CFLAGS=-Werror \
	    "build/check/$${cc%% *}-aarch64/libllama2.a" > /dev/null; done

format: $(VENV)/ready ## Format all sources
	@for f in $(C_FILES); do clang-format --assume-filename=x.c < $$f > $$f.new && \
	  { cmp -s $$f.new $$f && rm $$f.new || mv $$f.new $$f; }; done
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

# Speed.

bench: run $(VENV)/ready ## Speed beside the machine's limits (ARGS="--llama2c PATH --runq PATH" adds peers)
	$(VENV)/bin/python -m bench $(ARGS)

# llama.cpp in an environment of its own; CMAKE_ARGS says how it is built.
LLAMA_CPP := llama-cpp-python==0.3.36
PEERS := build/peers

$(PEERS)/ready:
	$(PYTHON) -m venv --clear $(PEERS)
	@echo "  building $(LLAMA_CPP) into $(PEERS), which takes about ten minutes (CMAKE_ARGS=$(CMAKE_ARGS))"
	CMAKE_ARGS="$(CMAKE_ARGS)" $(PEERS)/bin/python -m pip install --disable-pip-version-check --no-cache-dir "$(LLAMA_CPP)"
	@touch $@

bench-peers: $(PEERS)/ready $(VENV)/ready ## llama.cpp on the same files, pair by pair (ARGS="--only stories15M", CMAKE_ARGS=…)
	$(VENV)/bin/python -m bench.peers --llama-cpp $(PEERS)/bin/python $(ARGS)

clean: ## Remove all that was built
	rm -rf build run $(VENV) llama2py.egg-info llama2py/*.so

-include $(OBJECTS:.o=.d) $(BUILD)/run.d
