# Each target does its own set-up; the second time that takes a second.
SHELL := /bin/bash
SOURCE ?= drawn
DURATION ?= 20
OUT ?= demo_out
STEPS ?= 500
SEED ?= 1
MINUTES ?= 30
CAMERAS ?= 1
WEIGHTS ?= enet_camvid

.PHONY: help setup demo bench soak walk test test-gpu test-tensorrt test-wheel test-colcon test-pythons fuzz lint hashes audit docs

help:
	@echo 'make setup          install and build everything into .venv/ and .colcon/'
	@echo 'make demo           a camera, the node and an observer; images in $$(OUT)'
	@echo '                    [SOURCE=drawn|FILE|FOLDER] [DURATION=20] [OUT=demo_out]'
	@echo '                    [WEIGHTS=enet_camvid|enet_road|FILE] [VIEW=1] [FORCE=1]'
	@echo 'make bench          ENet beside other runtimes on this machine, alone [ARGS="--paper"]'
	@echo 'make soak           a node among its cameras for long: sums, memory, latency; alone'
	@echo '                    [MINUTES=30] [CAMERAS=1] [ARGS="--json FILE"]'
	@echo 'make walk           one node walked at random, by a seed [STEPS=500] [SEED=1]'
	@echo 'make test           every test that this machine can run, but test-tensorrt,'
	@echo '                    test-wheel, test-colcon and test-pythons, which build environments'
	@echo 'make test-gpu       TensorRT on this GPU: build, agreement, speed, reload'
	@echo 'make test-tensorrt  TensorRT engines and Triton kernels by the real compilers, without a GPU'
	@echo 'make test-wheel     builds the wheel and uses it in an empty environment'
	@echo 'make test-colcon    runs colcon test in a workspace of its own'
	@echo 'make test-pythons   the tests without ROS on Python 3.10 and 3.12, where they are found'
	@echo 'make fuzz           100,000 hostile inputs for each reader [TARGET=image CASES=100000 SEED=1]'
	@echo 'make docs           the documents as a site, into site/; a dead link stops it'
	@echo 'make lint           ruff'
	@echo 'make hashes         write constraints/bare.hashes.txt anew from constraints/bare.txt'
	@echo 'make audit          look every pin up in the database of known vulnerabilities'

setup:
	@scripts/setup.sh
	@echo 'ready: source scripts/ros_env.sh in a shell, or run make demo'

demo:
	@scripts/setup.sh $(if $(VIEW),view)
	@. scripts/ros_env.sh && exec demo --source '$(SOURCE)' \
	    --duration '$(DURATION)' --out '$(OUT)' --weights '$(WEIGHTS)' \
	    $(if $(VIEW),--view) $(if $(or $(FORCE),$(filter demo_out,$(OUT))),--force)

bench:
	@scripts/setup.sh bench
	@. scripts/ros_env.sh && exec enet-ros bench $(ARGS)

soak:
	@scripts/setup.sh bench
	@. scripts/ros_env.sh && exec enet-ros soak --minutes $(MINUTES) --cameras $(CAMERAS) $(ARGS)

walk:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && cd test && exec python -m support.walk \
	    --steps $(STEPS) --seed $(SEED)

test:
	@scripts/setup.sh test train bench int8 bag fleet view docs
	@scripts/test.sh

test-tensorrt:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && exec pytest -m tensorrt -s test/backends

test-gpu:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && pytest -m gpu -s test/backends && enet-ros doctor --gpu

test-wheel:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && exec pytest -m wheel

test-colcon:
	@scripts/setup.sh test
	@scripts/test_colcon.sh

test-pythons:
	@scripts/test_pythons.sh

fuzz:
	@scripts/setup.sh test train
	@TARGET='$(TARGET)' CASES='$(CASES)' SEED='$(SEED)' MOST_SEC='$(MOST_SEC)' scripts/fuzz.sh

docs:  # never with --quiet: mkdocs then counts no warnings, and --strict passes everything
	@scripts/setup.sh docs
	@NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --site-dir site
	@echo 'docs: python3 -m http.server -d site serves it; site/index.html opens without search'

lint:
	@scripts/setup.sh dev
	@.venv/bin/ruff check .

hashes:
	@scripts/hashes.sh

audit:
	@scripts/audit.sh
