#!/usr/bin/env bash
# Fuzz the readers of what comes from outside:
#
#   make fuzz [TARGET=image] [CASES=100000] [SEED=1] [MOST_SEC=0]   MOST_SEC: for each target, or 0
#
# By Atheris, which follows the coverage of the Python code, where it can be installed; else by the
# same cases without coverage. Exit code 1, and the name of the case, if one breaks a promise.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
cases=${CASES:-100000} seed=${SEED:-1} most_sec=${MOST_SEC:-0} runs=$PWD/runs/fuzz
export OMP_NUM_THREADS=1  # Threads that wait for each other would be measured as well.
. scripts/ros_env.sh
has_atheris=
python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
    --requirement constraints/fuzz.txt && has_atheris=yes ||
    echo 'fuzz: Atheris cannot be installed here, so cases are drawn without regard to coverage'
cd test
targets=${TARGET:-$(python -c 'from support.fuzz_targets import NAMES; print(*NAMES)')}
failed=0
for target in $targets; do
    echo "fuzz: $target, $cases cases, seed $seed"
    mkdir -p "$runs/$target"
    if [ -n "$has_atheris" ]; then
        nice -n 10 python -m support.fuzz_atheris "$target" -runs="$cases" -seed="$seed" \
            -timeout=120 -max_total_time="$most_sec" -rss_limit_mb=4000 -verbosity=0 -artifact_prefix="$runs/$target/" \
            > "$runs/$target.log" 2>&1
    else
        nice -n 10 python -m support.fuzz_run "$target" --seed "$seed" --count "$cases" \
            > "$runs/$target.log" 2> "$runs/$target.err"
    fi
    code=$?
    grep -E "^$target: |\"cases\"" "$runs/$target.log" | tail -n 1
    if [ $code != 0 ] || grep -q '"finds": \[".' "$runs/$target.log"; then
        echo "fuzz: $target broke a promise (exit code $code); the end of $runs/$target.log:"
        grep -v '^libpng\|^\[ WARN\|^\[ERROR' "$runs/$target.log" | tail -n 15
        failed=1
    fi
done
exit $failed
