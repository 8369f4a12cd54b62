# `make demo` and `make test` do all they need; every other target is a step of theirs.

PYTHON ?= python3
VENV := $(CURDIR)/.venv
BIN := $(VENV)/bin
BUILD := build/dev

# The wheels' libraries and packages, and nothing of a ROS installation that is sourced.
IN_VENV := env -u PYTHONPATH -u ROS_DISTRO LD_LIBRARY_PATH=$(VENV)/lib \
	AMENT_PREFIX_PATH=$(VENV) CMAKE_PREFIX_PATH=$(VENV)

.PHONY: build

# The source tree linked into .venv, beside the generated messages: edits count at once, a new
# file wants another `make build`.
build: $(BUILD)/CMakeCache.txt
	@$(IN_VENV) cmake --build $(BUILD) > $(BUILD)/build.log || { cat $(BUILD)/build.log; exit 1; }
	@find $(VENV)/lib/python3*/site-packages/roma_ros $(VENV)/share/roma_ros -xtype l -delete 2> /dev/null || true
	@$(IN_VENV) cmake --install $(BUILD) > $(BUILD)/install.log || { cat $(BUILD)/install.log; exit 1; }

$(BUILD)/CMakeCache.txt:
	$(IN_VENV) cmake -S . -B $(BUILD) \
		-DPython3_EXECUTABLE=$(BIN)/python3 -DPYTHON_EXECUTABLE=$(BIN)/python3 \
		-DCMAKE_INSTALL_PREFIX=$(VENV) -DAMENT_CMAKE_SYMLINK_INSTALL=ON \
		-DROMA_ROS_PYTHON=$(BIN)/python3
