# Fleet: `make demo` shows it, `make test` proves it, `make help` lists the rest.

SWIFT ?= swift
PYTHON = .venv/bin/python
SECONDS ?= 60
ARCH ?= $(shell dpkg --print-architecture)
DIST ?= trixie

.DEFAULT_GOAL := help
.PHONY: help deps build test unit e2e check fmt ci-long demo bench fuzz size docs deb apt-repo test-packages test-pi test-ansible clean

help: ## this list
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1: /p' Makefile | awk -F': ' '{printf "  make %-13s %s\n", $$1, $$2}'

deps: ## install what is missing (apt-get, and Python tools in .venv)
	@scripts/deps

build: deps ## the four programs, for debugging
	$(SWIFT) build

test: deps ## unit tests, then end-to-end tests with the real programs
	@scripts/test unit e2e

unit: deps ## unit tests alone
	@scripts/test unit

e2e: deps ## end-to-end tests alone
	@scripts/test e2e

check: deps ## formatting, imports, unsafe code, no Foundation in daemons, documents
	@scripts/check

fmt: ## format all Swift sources in place
	$(SWIFT) format --in-place --parallel --recursive Package.swift Sources Tests Benchmarks

ci-long: deps ## what .ci/run has no time for: tests without end, Debian 12, the virtual Pi, ansible (hours)
	@scripts/deps deb
	@scripts/ci --long

demo: deps ## the whole way on this machine, with a cut link (UPSTREAM=mosquitto|mqtts://…, KEEP=1)
	@scripts/demo

bench: deps ## speed and memory, beside Mosquitto in the same run
	@scripts/bench

fuzz: deps ## fuzz the decoder (SECONDS=60)
	@scripts/fuzz $(SECONDS)

size: deps ## size, start and memory of the release programs, beside Mosquitto
	@scripts/size

docs: deps ## check the documents: links, help texts, conformance
	@scripts/check documents conformance threats

deb: ## Debian packages, checked (ARCH=amd64|arm64 DIST=trixie|bookworm), by root
	@scripts/deps deb
	@scripts/deb --arch $(ARCH) --dist $(DIST)

apt-repo: ## a signed repository of the packages that are built (KEY=fingerprint)
	@scripts/deps deb
	@scripts/apt-repo

test-packages: ## the amd64 packages on systems that boot (DIST=trixie|bookworm), by root
	@scripts/deps deb
	@scripts/test-packages --dist $(DIST)

test-pi: ## the arm64 packages on a virtual Pi: sensors, power cuts, a bad link (ten minutes), by root
	@scripts/deps pi
	@scripts/test-pi

test-ansible: ## the collection, on systems that boot (DIST=trixie|bookworm), by root
	@scripts/deps deb
	@scripts/deps ansible
	@scripts/test-ansible --dist $(DIST)

clean: ## remove what was built
	rm -rf .build .build-* .venv .venv-ansible
