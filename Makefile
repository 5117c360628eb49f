# What a person does with SQPsych. 'make' alone lists it.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint bench i18n venv venv-run python chromium engine clean

# Runs a check and shows its output only when it fails.
quietly = @out=$$($(1) 2>&1) || { printf '%s\n' "$$out"; exit 1; }

help:
	@echo "make run     the whole system on http://127.0.0.1:8000; Ctrl-C stops it"
	@echo "             PORT=8001  DEMO=0 (empty system)  ENGINE=none (no model server)"
	@echo "             SQPSYCH_VLLM_URL=http://host:8000/v1  DATABASE_URL=...  CELERY_BROKER_URL=..."
	@echo "make test    every test, on real parts; ARGS='tests/site -k login' for some"
	@echo "make lint    style, types, import order, templates, migrations; silent when fine"
	@echo "make bench   measurements, as a table"
	@echo "make venv    only install the Python packages into .venv"
	@echo "make clean   delete caches and .venv; data (var/) and the model server (.engine/) stay"

run: venv-run
	@SQPSYCH_UNDER_MAKE=1 exec $(BIN)/python -m sqpsych_site.local

test: venv chromium engine
	@exec $(BIN)/python -m pytest $(ARGS)

lint: venv
	$(call quietly,$(BIN)/ruff check --quiet .)
	$(call quietly,$(BIN)/ruff format --check --quiet .)
	$(call quietly,$(BIN)/mypy .)
	$(call quietly,$(BIN)/lint-imports)
	$(call quietly,find templates -name '*.html' -exec $(BIN)/djade --check --target-version 5.2 {} +)
	@# No database is needed to compare models and migrations: the address leads nowhere.
	$(call quietly,DATABASE_URL=postgresql://nobody@127.0.0.1:9/none \
		$(BIN)/python -W ignore manage.py makemigrations --check --dry-run)

bench: venv engine
	@exec $(BIN)/python -m benchmarks $(ARGS)

venv: python
	@$(PYTHON) sqpsych_site/local/venv.py dev

venv-run: python
	@$(PYTHON) sqpsych_site/local/venv.py run

python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "SQPsych needs Python 3.11 or newer: install it, or name it with PYTHON=/path/to/python3." >&2; \
		exit 1; }

chromium:
	@if [ -x /usr/bin/chromium ]; then exit 0; fi; \
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
		echo "The browser tests need /usr/bin/chromium: install it (apt-get install chromium) and start again." >&2; \
		exit 1; \
	fi; \
	echo "installing Chromium for the browser tests ..."; \
	log=$$(mktemp); \
	{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
		--no-install-recommends chromium fonts-liberation; } >"$$log" 2>&1 </dev/null || { \
		tail -n 5 "$$log" >&2; \
		echo "Chromium could not be installed: see $$log." >&2; exit 1; }; \
	rm -f "$$log"

i18n: venv
	@# Needs GNU gettext. Texts to translate are then in locale/de/LC_MESSAGES/django.po.
	@$(BIN)/python manage.py makemessages --locale de --no-location --no-wrap --no-obsolete --ignore .venv --ignore .engine --ignore var --ignore tests --ignore staticfiles
	@$(BIN)/python manage.py compilemessages --locale de --verbosity 0

engine: venv
	@$(BIN)/python -m sqpsych_site.local.engine install

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -not -path './.engine/*' -prune -exec rm -rf {} +
