# Everything that is done with this project more than once; `make` alone lists it.
#
# CARGO_TARGET_DIR moves the build folder, MERGESEARCH_CACHE the folder of downloaded and built test servers
# (default ~/.cache/mergesearch).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO ?= cargo
export CARGO_TARGET_DIR ?= $(CURDIR)/target
PROGRAMS := --package mergesearch --package mergesearch-merger --package mergesearch-quickstart --bins
SCRIPTS := .ci/run images/build tests/bench/run tests/browser tests/check-dependencies tests/check-scripts tests/cluster-demo tests/cluster-programs tests/demo tests/fuzz tests/peers/run tests/s3-servers tests/src/cluster/inside.sh tests/src/cluster/keep.sh

.PHONY: help demo test check-format check-scripts check-dependencies check-each-crate check-lints check-docs \
	check-licences s3-servers cluster-programs cluster cluster-down cluster-demo chaos images bench bench-merge bench-search fuzz sanitize fmt generate simulation peers study study-tables pool deny clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Search the quickstart pool, about ten minutes on two cores, and show what came out.
	$(CARGO) build --locked --release $(PROGRAMS)
	PATH="$$CARGO_TARGET_DIR/release:$$PATH" tests/demo

# Cheap checks first; the tests last, so that their result is what one sees.
test: check-format check-scripts check-dependencies check-lints check-docs check-each-crate s3-servers cluster-programs ## Everything that must pass before a change lands.
	$(CARGO) test --locked --workspace

check-format: ## Fail unless every Rust file is formatted.
	$(CARGO) fmt --check

check-scripts: ## Run shellcheck over the shell scripts, installing it on Debian if it is missing.
	tests/check-scripts $(SCRIPTS)

check-dependencies: ## Fail when a crate links what it must not, for instance the search engine an async runtime.
	tests/check-dependencies

check-lints: ## Run clippy over everything, warnings are errors.
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings

check-docs: ## Build the API documentation, warnings are errors.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps

# Built together, crates share the features of their dependencies; alone, a missing feature shows.
check-each-crate: ## Compile the pure crates each on its own.
	$(CARGO) check --locked --package mergesearch-recipe
	$(CARGO) check --locked --package mergesearch-search
	$(CARGO) check --locked --package mergesearch-crds
	$(CARGO) check --locked --package mergesearch-report

s3-servers: ## Install the S3 servers that the tests run against.
	tests/s3-servers >/dev/null

cluster-programs: ## Install Kubernetes and what else the test clusters consist of; about ten minutes the first time.
	tests/cluster-programs >/dev/null

cluster: s3-servers cluster-programs ## Start a Kubernetes cluster with one node to play with, as root on Linux, and say how it is reached.
	$(CARGO) run --locked --quiet --package mergesearch-tests --example cluster -- up

cluster-down: ## Take that cluster away.
	$(CARGO) run --locked --quiet --package mergesearch-tests --example cluster -- down

cluster-demo: s3-servers cluster-programs ## Search the quickstart on a Kubernetes cluster, as root on Linux, about ten minutes; KEEP=1 leaves it up.
	$(CARGO) build --locked --package mergesearch-tests --example cluster
	images/build
	tests/cluster-demo

chaos: s3-servers cluster-programs ## Kill the operator and take its pods and Jobs away while it searches, as root on Linux; about twenty minutes.
	$(CARGO) test --locked --package mergesearch-tests --test it -- --ignored --test-threads 1 node_chaos

images: ## Build the container images as archives in target/images, with no container engine; on Debian or Ubuntu.
	images/build

bench: bench-merge bench-search ## Measure merging and searching, and write docs/benchmarks.md.

bench-merge: ## Measure merging beside mergekit, plain copies and rclone, about half an hour; installs PyTorch into .cache/ once.
	$(CARGO) build --locked --release $(PROGRAMS)
	PATH="$$CARGO_TARGET_DIR/release:$$PATH" tests/bench/run merge

bench-search: ## Measure searching beside other optimisers.
	$(CARGO) build --locked --release --package mergesearch-search --example ask_tell
	tests/bench/run search

fmt: ## Format every Rust file.
	$(CARGO) fmt

generate: ## Rewrite the generated files: crds/*.yaml, their copies in the chart, and docs/reference.
	$(CARGO) run --locked --quiet --package mergesearch-crds --example generate

simulation: ## Run ten thousand simulated searches with everything going wrong; MERGESEARCH_SEED begins at others.
	MERGESEARCH_SCHEDULES=4000 $(CARGO) test --locked --release --package mergesearch-operator --test it simulation

fuzz: ## Fuzz what reads untrusted bytes, half an hour for each target or FUZZ_SECONDS, with a nightly toolchain.
	tests/fuzz "$${FUZZ_SECONDS:-1800}"

sanitize: ## Run the merger's unit tests, kernels at every level among them, under AddressSanitizer, with a nightly toolchain.
	RUSTFLAGS="-Zsanitizer=address" $(CARGO) +nightly test --locked --package mergesearch-merger --lib \
		--target x86_64-unknown-linux-gnu --target-dir "$$CARGO_TARGET_DIR/sanitize"

peers: ## Compare with mergekit and load a merge with transformers; installs PyTorch into .cache/ once.
	$(CARGO) build --locked --release $(PROGRAMS)
	PATH="$$CARGO_TARGET_DIR/release:$$PATH" tests/peers/run

study: ## Try the claims about searched merges on the quickstart pool, and write docs/study.md; about an hour on two cores, goes on when killed.
	$(CARGO) build --locked --release $(PROGRAMS) --package mergesearch-study
	PATH="$$CARGO_TARGET_DIR/release:$$PATH" mergesearch-study run
	PATH="$$CARGO_TARGET_DIR/release:$$PATH" mergesearch-study tables

study-tables: ## Make the tables and pictures of docs/study.md anew from docs/study/*.csv.
	$(CARGO) run --locked --quiet --package mergesearch-study -- tables

pool: ## Train the quickstart pool from nothing, about ten minutes; the same bits on the same kind of processor.
	$(CARGO) run --locked --release --package mergesearch-quickstart --bin quickstart-train

deny: ## Check licences, sources and advisories with cargo-deny.
	@command -v cargo-deny >/dev/null || { echo "cargo-deny is missing: cargo install --locked cargo-deny" >&2; exit 1; }
	cargo-deny --all-features check bans licenses sources
	cargo-deny --all-features check advisories || echo "advisories do not decide; read them above" >&2

clean: ## Remove build output, environments and demo state, but not the cached test servers.
	$(CARGO) clean
	rm -rf .cache examples/quickstart/output
