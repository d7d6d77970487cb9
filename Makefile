# Each target sets itself up: Python 3.11 or newer and pip are all it needs.
PYTHON ?= python3
VENV := .venv
PIP := $(VENV)/bin/python -m pip
# Most of the 19,000 modules are never imported: each is compiled when it is.
INSTALL = $(PIP) install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt
OUT ?= outputs/demo

.PHONY: demo test types frames-equal check clean

demo: $(VENV)/.installed  ## presets side by side with their plans; the game, the world and the world in a scan
	$(VENV)/bin/python examples/compare_presets.py --presets off all --out $(OUT)
	$(VENV)/bin/python examples/grounded_place.py --out $(OUT)

test: $(VENV)/.installed-dev  ## lint, types, layers, tests
	$(VENV)/bin/ruff check .
	@# Types are checked while pip fetches and unpacks, which keeps one core busy at most.
	$(MAKE) --no-print-directory --jobs 2 types $(VENV)/lerobot/.installed
	$(VENV)/bin/lint-imports
	$(VENV)/bin/python scripts/check_prose.py
	@# One thread per worker: more of them only wait for each other on a machine that has other work.
	@# Bytecode is kept where a caller forbids it beside sources, too: many tests start processes, which import torch.
	PYTHONDONTWRITEBYTECODE= PYTHONPYCACHEPREFIX=$(abspath $(VENV))/bytecode LI_ENV_LEROBOT=$$(cat $(VENV)/lerobot/.installed) \
		OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n auto --dist loadfile --no-loadscope-reorder

types: $(VENV)/.installed-dev
	$(VENV)/bin/mypy

frames-equal: $(VENV)/.installed-dev  ## compare frames, rewards, plans and scores of HEAD with those of BASE=<commit>
	$(VENV)/bin/python scripts/frames_equal.py --base $(or $(BASE),$(error BASE=<commit> is missing)) --only '$(or $(ONLY),*)'

clean:  ## remove the environment
	rm -rf $(VENV)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@# Some distributions ship venv without ensurepip: fill the environment with the pip outside.
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { $(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; }

# torch is named in the same call as everything else, so that no dependency can pull in another one.
$(VENV)/.installed: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch --editable ".[doom]"
	touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(VENV)/bin/python
	$(INSTALL) torch --editable ".[dev,doom,play,worlds]"
	touch $@ $(VENV)/.installed

# lerobot, in a folder of its own, reads recorded datasets in one test, which is left out where it cannot be installed.
$(VENV)/lerobot/.installed: benchmarks/lerobot_environment.sh $(VENV)/.installed-dev
	mkdir -p $(@D)
	sh $< 0.4.4 $(@D) $(VENV)/bin/python | tail -n 1 > $@ || true
