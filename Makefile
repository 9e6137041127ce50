# `make demo` and `make test` install what they need on a Debian machine with Swift, then run.
SWIFT ?= swift
PYTHON_PACKAGES = awslambdaric==4.2.2 aws-lambda-powertools==3.37.0 boto3==1.44.5
DEBIAN_PACKAGES = liblmdb-dev libxxhash-dev zlib1g-dev libzstd-dev pkg-config python3 python3-venv

.PHONY: demo test build release python-functions simulate bench bench-layers bench-peers kills thread-sanitizer thread-sanitizer-core format format-check dependencies clean help

help:
	@echo "make demo              build a release and tell the one-minute story"
	@echo "make test              build and run every test"
	@echo "make release           build .build/release/sluice"
	@echo "make simulate          20 million steps of the simulator over many seeds"
	@echo "make bench             load test of this machine: put, drain, latency"
	@echo "make bench-layers      benchmarks of the layers: the layout of the store, the core"
	@echo "make bench-peers       Sluice beside Redis and SQLite on the same work"
	@echo "make kills             kill -9 of a worker under load, 200 times"
	@echo "make thread-sanitizer  the store, core, runtime and handler tests under the thread sanitizer"
	@echo "make thread-sanitizer-core  those of the store, the core, the runtime and recordings: the quick part of it"
	@echo "make format            format the sources"

dependencies:
	@Scripts/install-dependencies $(DEBIAN_PACKAGES)

# What the tests of functions take from PyPI; the tests themselves make sure of it too.
python-functions: dependencies
	@Scripts/python-environment .build/python-functions $(PYTHON_PACKAGES)

demo: release
	.build/release/sluice demo

test: dependencies python-functions
	$(SWIFT) build --build-tests
	@Scripts/run-tests 1200 $(SWIFT) test --skip-build --parallel --skip ProgramTests
	@Scripts/run-tests 1200 $(SWIFT) test --skip-build --no-parallel --filter ProgramTests

build: dependencies
	$(SWIFT) build

release: dependencies
	$(SWIFT) build -c release --product sluice
	$(SWIFT) build -c release --product RuntimeClient

# The program under load is killed 200 times; prints what came again.
kills: dependencies
	$(SWIFT) build --build-tests
	SLUICE_KILLS=200 Scripts/run-tests 3000 $(SWIFT) test --skip-build --filter KillTests

simulate: release
	Scripts/simulate .build/release/sluice 20000000

bench: release
	Scripts/bench .build/release/sluice

bench-layers: dependencies
	$(SWIFT) package --package-path Benchmarks benchmark --target Layout
	$(SWIFT) package --package-path Benchmarks benchmark --target Core

bench-peers: release
	@Scripts/install-dependencies redis-server
	Benchmarks/Peers/peers.py

SANITIZING = TSAN_OPTIONS=suppressions=$(CURDIR)/Tests/thread-sanitizer.suppressions

thread-sanitizer: dependencies python-functions
	$(SANITIZING) \
	  Scripts/run-tests 2400 $(SWIFT) test --sanitize=thread --scratch-path .build-tsan \
	  --filter 'LMDBTests|StreamStoreTests|ShardCoreTests|StreamRuntimeTests|RecordingsTests|ReplaysTests|LambdaRuntimeTests|SluiceTests'

thread-sanitizer-core: dependencies
	$(SANITIZING) SLUICE_TARGETS=core \
	  Scripts/run-tests 1200 $(SWIFT) test --sanitize=thread --scratch-path .build-tsan-core

format:
	$(SWIFT) format format --in-place --recursive Sources Tests Benchmarks Package.swift

format-check:
	$(SWIFT) format lint --strict --recursive Sources Tests Benchmarks Package.swift

clean:
	rm -rf .build .build-*
