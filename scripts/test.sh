#!/usr/bin/env bash
# Run every test that this machine can run but those of make test-tensorrt and make test-wheel:
#
#   scripts/test.sh [PYTEST OPTION...]
#
# In two parts. The first runs in a process for each core. The second has the tests that use a GPU,
# measure time or load, or look at the whole machine; each of them has the machine to itself.
#
# A busy machine can make a test of the first part miss its time. Those that fail are named, and run
# again alone. That second result counts.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/ros_env.sh || exit 1

processes=$(nproc)
[ "$processes" -le 4 ] || processes=4  # one process takes up to 2 GB
TOGETHER='not tensorrt and not wheel and not gpu and not alone'
ALONE='(gpu or alone) and not tensorrt and not wheel'

# One thread for each process: threads that wait for each other make both slower.
OMP_NUM_THREADS=1 pytest --cache-clear -n "$processes" --dist loadfile -m "$TOGETHER" "$@"
first=$?
if [ $first = 1 ]; then  # 1: tests failed; anything else is no matter of time
    echo 'test: what failed beside others runs again alone'
    pytest --last-failed --last-failed-no-failures none -m "$TOGETHER" "$@"
    first=$?
    [ $first != 5 ] || first=1  # no test had failed, so something else did
fi
pytest -m "$ALONE" "$@"
second=$?
# 5 says that the options chose no test of this part.
[ $first != 5 ] || [ $second != 5 ] || exit 5
[ $first = 0 ] || [ $first = 5 ] || exit $first
[ $second = 0 ] || [ $second = 5 ] || exit $second
