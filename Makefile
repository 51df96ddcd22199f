# One vocabulary for people, hooks and CI. `make` alone prints this help.
PYTHON ?= python3.11
TASK ?= mnist
BIN := .venv/bin
# What a shell may have set for other projects, and would send packages elsewhere or hide this folder's modules.
CLEAN := PIP_USER=0 PIP_TARGET= PIP_PREFIX= PYTHONSAFEPATH= PYTHONHOME=
ACTIVE := $(CLEAN) PATH="$(CURDIR)/$(BIN):$$PATH" DVC_NO_ANALYTICS=1 BENTOML_DO_NOT_TRACK=True TF_CPP_MIN_LOG_LEVEL=3 \
	MLFLOW_DISABLE_TELEMETRY=true DO_NOT_TRACK=true MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
.DEFAULT_GOAL := help
.PHONY: help repro demo mnist course test serve ui report format check bench-attacks bench-serving rollback clean

help: ## Show what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is newer than the lock only once everything in it is installed.
.venv/installed: requirements.lock pyproject.toml
	$(CLEAN) $(PYTHON) -m venv .venv
	@echo "Installing requirements.lock, about 230 packages: two to four minutes the first time"
	$(CLEAN) $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(CLEAN) $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

REPRO = python -m pipelines.repro $(if $(RUN),--run $(RUN)) $(if $(COURSE),--course $(COURSE)) $(if $(JOBS),--jobs $(JOBS))

repro: .venv/installed ## Run the pipeline, end with the table of champions; RUN="mnist digits": these tasks; JOBS=4
	@$(ACTIVE) $(REPRO)

demo: .venv/installed ## Attack the zoo's models in the browser, on 127.0.0.1:3000; trains nothing
	@$(ACTIVE) python -m pipelines.demo --open

mnist: RUN = $(TASK)
mnist: .venv/installed ## Run the pipeline on real MNIST, write its models to zoo/ (docs/mnist.md); TASK=mnist_01: L-inf 0.1
	@$(ACTIVE) $(REPRO)
	@$(if $(filter mnist,$(TASK)),$(ACTIVE) python -m pipelines.zoo mnist)

course: COURSE = full
course: .venv/installed ## The course's experiments at full size, on its own data where that is found
	@$(ACTIVE) $(REPRO)
	@echo "Open $(CURDIR)/reports/course.html"

test: .venv/installed ## Run the whole test suite
	@$(ACTIVE) python -m pytest --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

serve: .venv/installed ## Serve every champion on 127.0.0.1:3000
	@$(ACTIVE) bentoml serve serving.service:Redoubt --host 127.0.0.1 --port 3000

ui: .venv/installed ## Compare runs in the MLflow UI on 127.0.0.1:5000
	@$(ACTIVE) python -m pipelines.ui

report: .venv/installed ## Bring reports/index.html up to date and say where it is
	@$(ACTIVE) $(REPRO)
	@echo "Open $(CURDIR)/reports/index.html"

format: .venv/installed ## Format the code and sort the imports
	@$(ACTIVE) ruff check --quiet --fix .
	@$(ACTIVE) ruff format .

check: .venv/installed ## Lint and check types
	@$(ACTIVE) ruff format --check .
	@$(ACTIVE) ruff check .
	@$(ACTIVE) mypy

bench-attacks: .venv/installed ## Compare the speed and strength of each attack with ART, on 1,000 MNIST images; torchattacks and Foolbox where installed
	@$(ACTIVE) python -m benchmarks.attacks
	@test ! -x .redoubt/torch/bin/python || { $(ACTIVE) python -m benchmarks.torch_peers; }

bench-serving: .venv/installed ## Compare the guarded service with bare servers, on MNIST; REQUESTS=200000: endurance
	@$(ACTIVE) python -W ignore -m benchmarks.$(if $(REQUESTS),endurance --requests $(REQUESTS),serving)

rollback: .venv/installed ## Serve the champion of before on 127.0.0.1:3000; TASK=digits, with REDOUBT_ADMIN_TOKEN set
	@$(ACTIVE) python -m serving.control rollback $(TASK)

clean: ## Remove results, models and caches; keeps .venv, the MLflow runs and DVC's cache
	rm -rf data/raw data/splits models reports resolved .redoubt .pytest_cache .mypy_cache .ruff_cache
