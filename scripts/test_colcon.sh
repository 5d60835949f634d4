#!/usr/bin/env bash
# Build this checkout in a colcon workspace of its own, and run `colcon test` there, as a build farm
# does. About two minutes; it needs `scripts/setup.sh test`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/ros_env.sh
python=$(command -v python3)
"$python" -c 'import safetensors, torch'  # without them CMakeLists.txt has the tests skipped
workspace=$(mktemp -d)
trap 'rm -rf "$workspace"' EXIT
mkdir "$workspace/src"
ln -s "$PWD" "$workspace/src/enet_ros"
cd "$workspace"
colcon --log-base log build --base-paths src/enet_ros \
    --cmake-args -DBUILD_TESTING=ON "-DPython3_EXECUTABLE=$python" "-DPYTHON_EXECUTABLE=$python"
set +u  # The generated file reads variables that are not set.
. install/setup.bash
set -u
colcon --log-base log test --base-paths src/enet_ros --event-handlers console_direct+
colcon test-result --verbose
