# What a person does with SQPsych. 'make' alone lists it.
PYTHON ?= python3
BIN := .venv/bin
ARGS ?=
ALONE := e2e or reliability or vllm

.DEFAULT_GOAL := help
.PHONY: help run test lint bench i18n venv venv-run python chromium rscript engine clean

# Runs a check and shows its output only when it fails.
quietly = @out=$$($(1) 2>&1) || { printf '%s\n' "$$out"; exit 1; }

# Installs Debian packages ($2) unless a program ($1) is there; $3 begins the sentence where it cannot.
define debian
@if [ -x $(1) ]; then exit 0; fi; \
if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then \
	echo "$(3) $(1): install it (apt-get install $(2)) and start again." >&2; \
	exit 1; \
fi; \
echo "installing $(2) for the tests ..."; \
log=$$(mktemp); \
{ apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes \
	--no-install-recommends $(2); } >"$$log" 2>&1 </dev/null || { \
	tail -n 5 "$$log" >&2; \
	echo "$(2) could not be installed: see $$log." >&2; exit 1; }; \
rm -f "$$log"
endef

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

ifdef ARGS
test: venv chromium rscript engine
	@exec $(BIN)/python -m pytest $(ARGS)
else
test: venv chromium rscript
	@# First what can run side by side, while the model server's packages come; then what needs the
	@# machine for itself: browser, killed processes, vLLM.
	@$(BIN)/python -m sqpsych_site.local.engine install & engine=$$!; \
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not ($(ALONE))" || { kill $$engine 2>/dev/null; exit 1; }; \
	wait $$engine && exec $(BIN)/python -m pytest -m "$(ALONE)"
endif

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
	$(call debian,/usr/bin/chromium,chromium fonts-liberation,The browser tests need)

rscript:
	$(call debian,/usr/bin/Rscript,r-base-core,The tests of the exported R script need)

i18n: venv
	@# Needs GNU gettext. Texts to translate are then in locale/de/LC_MESSAGES/django.po.
	@$(BIN)/python manage.py makemessages --locale de --no-location --no-wrap --no-obsolete --ignore .venv --ignore .engine --ignore var --ignore tests --ignore staticfiles
	@$(BIN)/python manage.py compilemessages --locale de --verbosity 0

engine: venv
	@$(BIN)/python -m sqpsych_site.local.engine install

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache test-results
	find . -name __pycache__ -not -path './.engine/*' -prune -exec rm -rf {} +
