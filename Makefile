# Every verb of the project. `make` alone lists them. CI runs `make test` through .ci/run.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help run test bench soak chaos fmt fmt-check lint doc policy unit e2e oldest chart fuzz image

CARGO ?= cargo
IMAGE ?= tickwire:dev
# Seconds that each fuzz target runs.
FUZZ_SECONDS ?= 60
# Tools that scripts fetch go here; what is on the PATH already is preferred.
export PATH := $(PATH):$(CURDIR)/target/tools

help: ## List the verbs.
	@awk 'BEGIN { FS = ":.*## " } /^[a-z0-9-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Run NATS, ingestor and edge here, with live exchanges or, where none answers, simulated ones.
	@.ci/run-local

test: fmt-check lint policy doc ## Everything that CI runs.
	@.ci/nats-server > /dev/null
	@$(CARGO) build --workspace --bins --example chaos --locked
	@$(CARGO) test --workspace --locked
	@$(MAKE) --no-print-directory oldest chart

bench: ## Figures, ending with one table of the edge; PEERS=DIR puts other servers beside it (20 to 50 minutes).
	@PEERS="$(PEERS)" .ci/bench

soak: ## Half an hour of clients that come and go; fails if the edge then holds more than at the start.
	@.ci/soak

chaos: ## Break a whole fleet in every way that it must survive; a table, and figures of take-over and hand-over.
	@.ci/chaos

fmt: ## Format the Rust code.
	@$(CARGO) fmt --all

fmt-check:
	@$(CARGO) fmt --all --check

lint: ## Clippy and shellcheck; any warning fails.
	@$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	@if command -v shellcheck > /dev/null; then shellcheck -x .ci/*; else echo "shellcheck: not installed, skipped"; fi

doc: ## Build the API documentation; a broken link fails.
	@RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked

policy: ## Licences, sources, duplicates and advisories of the dependencies (needs cargo-deny).
	@if ! command -v cargo-deny > /dev/null; then echo "cargo-deny: not installed, skipped"; exit 0; fi; \
	$(CARGO) deny --log-level warn check bans licenses sources || exit 1; \
	if $(CARGO) deny --log-level off fetch db > /dev/null 2>&1; then $(CARGO) deny check advisories; \
	else echo "advisory database: out of reach, skipped"; fi

unit: ## Unit and property tests.
	@.ci/nats-server > /dev/null
	@$(CARGO) test --workspace --lib --bins --locked

e2e: ## End-to-end tests with real processes.
	@.ci/nats-server > /dev/null
	@$(CARGO) build --workspace --bins --example chaos --locked
	@$(CARGO) test -p tickwire-loadtest --test 'e2e*' --locked

oldest: ## NATS and end-to-end tests again with the oldest supported server, where the system's packages have it.
	@server=$$(.ci/nats-server --oldest); \
	if [ -z "$$server" ]; then echo "oldest nats-server: not to be had here, skipped"; exit 0; fi; \
	"$$server" --version; \
	TICKWIRE_TEST_NATS_SERVER=$$server $(CARGO) test -p tickwire-nats --locked && \
	TICKWIRE_TEST_NATS_SERVER=$$server $(CARGO) test -p tickwire-loadtest --test 'e2e*' --locked

chart: ## Lint the chart and check its manifests for several values files and Kubernetes versions.
	@.ci/test-chart

fuzz: ## Run every fuzz target for FUZZ_SECONDS on its seeds (needs cargo-fuzz and a nightly toolchain).
	@cd ingestor && for target in $$($(CARGO) +nightly fuzz list); do \
		mkdir -p "fuzz/corpus/$$target"; \
		$(CARGO) +nightly fuzz run "$$target" "fuzz/corpus/$$target" src/venue/*/fixtures -- \
			-max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done
	@cd edge && for target in $$($(CARGO) +nightly fuzz list); do \
		mkdir -p "fuzz/corpus/$$target"; \
		$(CARGO) +nightly fuzz run "$$target" "fuzz/corpus/$$target" "fuzz/seeds/$$target" -- \
			-max_total_time=$(FUZZ_SECONDS) || exit 1; \
	done

image: ## Build the container image IMAGE with docker, podman or buildah.
	@.ci/image $(IMAGE)
