# Each target does its own set-up; the second time that takes a second.
SHELL := /bin/bash
SOURCE ?= drawn
DURATION ?= 20
OUT ?= demo_out
WEIGHTS ?= enet_camvid

.PHONY: help setup demo bench test test-gpu test-tensorrt test-pythons lint

help:
	@echo 'make setup          install and build everything into .venv/ and install/'
	@echo 'make demo           a camera, the node and a watcher; pictures in $$(OUT)'
	@echo '                    [SOURCE=drawn|FILE|FOLDER] [DURATION=20] [OUT=demo_out]'
	@echo '                    [WEIGHTS=enet_camvid|enet_road|FILE]'
	@echo 'make bench          ENet beside other runtimes on this machine, alone [ARGS="--paper"]'
	@echo 'make test           every test that this machine can run, but test-tensorrt'
	@echo 'make test-gpu       TensorRT on this GPU: build, agreement, speed, reload'
	@echo 'make test-tensorrt  TensorRT engines by the real builder, without a GPU'
	@echo 'make test-pythons   the tests without ROS on Python 3.10 and 3.12, where they are found'
	@echo 'make lint           ruff'

setup:
	@scripts/setup.sh
	@echo 'ready: source scripts/ros_env.sh in a shell, or run make demo'

demo:
	@scripts/setup.sh
	@. scripts/ros_env.sh && exec demo --source '$(SOURCE)' \
	    --duration '$(DURATION)' --out '$(OUT)' --weights '$(WEIGHTS)'

bench:
	@scripts/setup.sh bench
	@. scripts/ros_env.sh && exec enet-ros bench $(ARGS)

test:
	@scripts/setup.sh test train bench int8
	@. scripts/ros_env.sh && exec pytest -m 'not tensorrt'

test-tensorrt:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && exec pytest -m tensorrt -s test/backends/test_tensorrt_builder.py

test-gpu:
	@scripts/setup.sh test
	@. scripts/ros_env.sh && pytest -m gpu -s test/backends && enet-ros doctor --gpu

test-pythons:
	@scripts/test_pythons.sh

lint:
	@scripts/setup.sh dev
	@.venv/bin/ruff check .
