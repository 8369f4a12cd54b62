# `make demo` and `make test` do all they need; the other targets are steps of theirs.

# The first of these that the ROS wheels exist for; `make PYTHON=...` names another.
PYTHON ?= $(firstword $(foreach name, python3 python3.13 python3.12 python3.11, $(shell \
	$(name) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' \
	2> /dev/null && echo $(name))) python3)
# Tried first, for builds of torch without CUDA; pip goes on without it where it is out of reach.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check
BUILD := build/dev

# The wheels' ROS, and nothing of one that is sourced.
IN_VENV := env -u PYTHONPATH -u ROS_DISTRO PATH="$(BIN):$$PATH" LD_LIBRARY_PATH=$(VENV)/lib \
	AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV)

.DEFAULT_GOAL := help
.PHONY: help setup build demo test lint clean

help:
	@echo 'make demo   set up, build, and run the demo: leaves demo_output/'
	@echo 'make test   set up, build, and run all checks and tests'
	@echo 'make setup  make .venv and install what the package needs'
	@echo 'make build  link the source tree and the messages into .venv'
	@echo 'make lint   ruff and mypy'
	@echo 'make clean  remove what was built; .venv stays'

demo: build
	$(BIN)/roma demo

test: lint
	$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile -rR

lint: build $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

setup: $(VENV)/.setup

# The source tree linked into .venv, beside the generated messages: edits count at once, a new
# file wants another `make build`.
build: $(BUILD)/build.ninja
	@echo 'Building into .venv'
	@cd $(BUILD) && { $(IN_VENV) cmake --build . > build.log || { cat build.log; exit 1; }; }
	@find $(VENV)/lib $(VENV)/share $(VENV)/bin -xtype l -path '*roma*' -delete
	@cd $(BUILD) && { $(IN_VENV) cmake --install . > install.log || { cat install.log; exit 1; }; }

$(BUILD)/build.ninja: $(VENV)/.setup
	@rm -rf $(BUILD) && mkdir -p $(BUILD)
	@$(IN_VENV) cmake -G Ninja -S . -B $(BUILD) -DPython3_EXECUTABLE=$(BIN)/python3 \
		-DCMAKE_INSTALL_PREFIX=$(VENV) -DAMENT_CMAKE_SYMLINK_INSTALL=ON \
		-DROMA_ROS_PYTHON=$(BIN)/python3 > $(BUILD)/configure.log \
		|| { cat $(BUILD)/configure.log; exit 1; }

TORCH := $(shell grep -o '^torch==[^ ]*' requirements/runtime.txt)
REQUIREMENTS := $(addprefix requirements/, build.txt demo.txt onnx.txt ros-kilted.txt \
	ros-kilted-build.txt runtime.txt)

$(VENV)/.setup: $(REQUIREMENTS) requirements/demo-media.txt requirements/microphone.txt
	@scripts/system_packages $(PYTHON)
	@[ -x $(BIN)/pip ] || $(PYTHON) -m venv $(VENV)
	@echo 'Installing torch, ROS 2 and the rest into .venv: about 2 GB, a few minutes'
	@$(PIP) install -qq --no-deps --retries 0 --extra-index-url $(TORCH_INDEX) $(TORCH) \
		|| $(PIP) install -qq --no-deps $(TORCH)
	@$(PIP) install -qq $(addprefix -r , $(REQUIREMENTS))
	@$(PIP) install -qq --no-deps -r requirements/demo-media.txt
	@$(PIP) install -qq -r requirements/microphone.txt || echo 'Going on without PyAudio.'
	@touch $@

DEV := $(addprefix requirements/, dev.txt fleet.txt tensorrt.txt training.txt)

$(VENV)/.dev: $(VENV)/.setup $(DEV) requirements/quantize.txt
	@scripts/system_packages $(PYTHON) chromium
	@echo 'Installing what the tests need: about 1 GB'
	@$(PIP) install -qq $(addprefix -r , $(DEV))
	@$(PIP) install -qq --no-deps --upgrade --target $(VENV)/quantize -r requirements/quantize.txt
	@touch $@

clean:
	rm -rf build install log dist *.egg-info demo_output
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis
	[ ! -d $(VENV) ] || find $(VENV)/lib $(VENV)/share $(VENV)/bin $(VENV)/include \
		-path '*roma_ros*' -not -type d -delete
