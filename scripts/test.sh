#!/usr/bin/env bash
# Run every test that this machine can run but those of make test-tensorrt and make test-wheel:
#
#   scripts/test.sh [PYTEST OPTION...]
#
# In two parts. The first has the tests without ROS, in a process for each core. The second has those
# that spin real nodes, use a GPU or measure time; each of them has the machine to itself.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/ros_env.sh || exit 1

processes=$(nproc)
[ "$processes" -le 4 ] || processes=4  # one process takes up to 2 GB
OTHERS='not tensorrt and not wheel'
ALONE='ros or gpu or alone'

# One thread for each process: threads that wait for each other make both slower.
OMP_NUM_THREADS=1 pytest -n "$processes" --dist loadfile -m "$OTHERS and not ($ALONE)" "$@"
first=$?
pytest -m "$OTHERS and ($ALONE)" "$@"
second=$?
# 5 says that the options chose no test of this part.
[ $first != 5 ] || [ $second != 5 ] || exit 5
[ $first = 0 ] || [ $first = 5 ] || exit $first
[ $second = 5 ] || exit $second
