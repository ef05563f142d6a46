# make run: see damond at work on a real process; make test: everything that must hold.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: run test lint types architecture unit bench soak kernel test-kernel compare install uninstall clean help

help:
	@echo "make run    watch a small demo program's memory for 15 s"
	@echo "make test   lint, types, architecture and all tests"
	@echo "make bench  print the figures of this machine"
	@echo "make soak   run the service for SOAK_MINUTES=30; say what grows, what is lost and how late it is"
	@echo "make kernel, make test-kernel  build the kernels that damond is tested on; test on them"
	@echo "make compare  accuracy and cost beside the kernel's own DAMON (ARGS=--quick, ARGS=--json)"
	@echo "make install, make uninstall  the service, below prefix=/usr/local (and DESTDIR)"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "damond needs Python 3.11 or newer; set PYTHON=..." >&2; exit 69; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || { echo "Python's venv module is incomplete here: apt-get install python3-venv" >&2; exit 69; }
	$(PYTHON) -m venv $(VENV)

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

run: | $(BIN)/python
	@test -x $(BIN)/damond || $(BIN)/pip install --quiet --disable-pip-version-check --editable .
	@$(BIN)/damond monitor --for 15s -- $(BIN)/python -m damond.demo

test: lint types architecture unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/mypy

architecture: $(STAMP)
	$(BIN)/lint-imports --no-cache

# How long the building of kernels to test on may take that are not at hand; 'make kernel' takes its time.
KERNEL_MINUTES ?= 0

unit: $(STAMP)
	@$(BIN)/python -m tests.kernel.build --minutes $(KERNEL_MINUTES)
	$(BIN)/pytest -q -rs -n 3 --dist loadfile --no-loadscope-reorder --ignore tests/chaos
	$(BIN)/pytest -q -rs -n 2 --dist loadfile tests/chaos  # breaks things: apart from the rest

bench: $(STAMP)
	$(BIN)/python tests/bench/figures.py

soak: $(STAMP)
	$(BIN)/python -m tests.chaos.soak

kernel: $(STAMP)
	@$(BIN)/python -m tests.kernel.build $(ARGS)

test-kernel: $(STAMP)
	$(BIN)/pytest -q -rs tests/kernel

# damo has an environment of its own: it is compared with, not used. Without a package index it is left out.
DAMO := $(VENV)/compare/bin/damo

compare: $(STAMP)
	@test -x $(DAMO) || { $(PYTHON) -m venv $(VENV)/compare && $(VENV)/compare/bin/pip install --quiet --disable-pip-version-check damo; } || echo "compare: no damo, so without it" >&2
	@$(BIN)/python -m tests.kernel.compare $$(test -x $(DAMO) && echo --damo $(DAMO)) $(ARGS)

# Where things go. PYTHON makes the environment: with DESTDIR it must be one that the target has at the same path.
prefix ?= /usr/local
sysconfdir ?= /etc
# What pip installs: this checkout, or a wheel of it.
PACKAGE ?= .
HOME_DIR := $(prefix)/lib/damond
PLACED := bin/damond lib/systemd/system/damond.service lib/sysusers.d/damond.conf lib/tmpfiles.d/damond.conf \
	share/doc/damond/remote.conf share/man/man1/damond.1 share/bash-completion/completions/damond \
	share/zsh/site-functions/_damond share/fish/vendor_completions.d/damond.fish

install:
	@$(PYTHON) -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "damond needs Python 3.11 or newer with venv (apt-get install python3-venv); set PYTHON=..." >&2; exit 69; }
	$(PYTHON) -m venv --clear "$(DESTDIR)$(HOME_DIR)"
	"$(DESTDIR)$(HOME_DIR)/bin/pip" install --quiet --disable-pip-version-check --no-compile "$(PACKAGE)"
	cd "$(DESTDIR)$(prefix)" && mkdir -p $(dir $(PLACED))
	cd "$(DESTDIR)$(prefix)" && lib/damond/bin/python -m damond.cli.man >share/man/man1/damond.1
	cd "$(DESTDIR)$(prefix)" && damond="lib/damond/bin/python -m damond" && \
		_DAMOND_COMPLETE=bash_source $$damond >share/bash-completion/completions/damond && \
		_DAMOND_COMPLETE=zsh_source $$damond >share/zsh/site-functions/_damond && \
		_DAMOND_COMPLETE=fish_source $$damond >share/fish/vendor_completions.d/damond.fish
	# What venv and pip wrote knows the environment by where it lies now; it must know where it will lie.
	test -z "$(DESTDIR)" || sed -i 's#$(DESTDIR)$(HOME_DIR)#$(HOME_DIR)#g' $$(grep -rlIF "$(DESTDIR)$(HOME_DIR)" "$(DESTDIR)$(HOME_DIR)/bin" "$(DESTDIR)$(HOME_DIR)/pyvenv.cfg")
	"$(DESTDIR)$(HOME_DIR)/bin/python" -m compileall -q -f $(if $(DESTDIR),-s "$(DESTDIR)" -p /) "$(DESTDIR)$(HOME_DIR)/lib"
	ln -sf ../lib/damond/bin/damond "$(DESTDIR)$(prefix)/bin/damond"
	sed 's#/usr/local/bin/#$(prefix)/bin/#; s#/etc/damond/#$(sysconfdir)/damond/#' systemd/damond.service >"$(DESTDIR)$(prefix)/lib/systemd/system/damond.service"
	install -m 644 systemd/damond.sysusers "$(DESTDIR)$(prefix)/lib/sysusers.d/damond.conf"
	install -m 644 systemd/damond.tmpfiles "$(DESTDIR)$(prefix)/lib/tmpfiles.d/damond.conf"
	install -m 644 systemd/remote.conf "$(DESTDIR)$(prefix)/share/doc/damond/remote.conf"
	install -d "$(DESTDIR)$(sysconfdir)/damond/conf.d"
	test -e "$(DESTDIR)$(sysconfdir)/damond/damond.toml" || install -m 644 etc/damond.toml "$(DESTDIR)$(sysconfdir)/damond/damond.toml"
	test -e "$(DESTDIR)$(sysconfdir)/damond/conf.d/service.toml" || install -m 644 systemd/service.toml "$(DESTDIR)$(sysconfdir)/damond/conf.d/service.toml"
	@test -n "$(DESTDIR)" || echo "next: systemd-sysusers && systemd-tmpfiles --create damond.conf && systemctl daemon-reload && systemctl enable --now damond"

# Configuration, keys, state and the user stay.
uninstall:
	cd "$(DESTDIR)$(prefix)" && rm -f $(PLACED)
	rm -rf "$(DESTDIR)$(HOME_DIR)" "$(DESTDIR)$(prefix)/share/doc/damond"

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
