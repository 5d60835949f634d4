#!/usr/bin/env bash
# Run every test that this machine can run but those of make test-tensorrt and make test-wheel:
#
#   scripts/test.sh [PYTEST OPTION...]
#
# In three parts. The first runs in three processes for each two cores, since many tests wait for
# each other's messages, and takes the longest files first. The second has the tests that look at
# moving things for seconds and hardly work meanwhile; they run beside one another and nothing else.
# The third has the tests that use a GPU, measure time or load, or look at the whole machine; each
# of them has the machine to itself.
#
# A busy machine can make a test of the first two parts miss its time. Those that fail are named, and
# run again alone. That second result counts.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. scripts/ros_env.sh || exit 1

processes=$(($(nproc) * 3 / 2))
[ "$processes" -le 6 ] || processes=6  # one process takes up to 2 GB
HERE='not tensorrt and not wheel'

# Run tests side by side, and those that fail once more alone.
#   run_together HOW_THEY_ARE_SHARED_OUT WHICH [PYTEST OPTION...]
run_together() {
    local shared_out=$1 which=$2 result
    shift 2
    # One thread for each process: threads that wait for each other make both slower.
    OMP_NUM_THREADS=1 pytest --cache-clear --no-loadscope-reorder -n "$processes" \
        --dist "$shared_out" -m "$which" "$@"
    result=$?
    if [ $result = 1 ]; then  # 1: tests failed; anything else is no matter of time
        echo 'test: what failed beside others runs again alone'
        pytest --last-failed --last-failed-no-failures none -m "$which" "$@"
        result=$?
        [ $result != 5 ] || result=1  # no test had failed, so something else did
    fi
    return $result
}

run_together loadfile "$HERE and not gpu and not alone and not quiet" "$@"
results=($?)
files=()  # Without options only the files with such tests are collected, which saves half a minute.
[ $# -gt 0 ] || mapfile -t files < <(grep -rlE 'mark\.(gpu|alone|quiet)\b' test --include='test_*.py')
run_together load "$HERE and quiet and not gpu" "$@" "${files[@]}"
results+=($?)
pytest -m "$HERE and (gpu or alone)" "$@" "${files[@]}"
results+=($?)

# 5 says that the options chose no test of a part.
chosen=0
for result in "${results[@]}"; do
    [ "$result" = 0 ] || [ "$result" = 5 ] || exit "$result"
    [ "$result" = 5 ] || chosen=1
done
[ $chosen = 1 ] || exit 5
