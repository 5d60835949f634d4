#!/usr/bin/env bash
# The proof on a GPU machine without network, in the checkout's root, with .trt laid by prepare.sh:
#   bash scripts/gpu/prove.sh [--probe] [--compile]      needs about 4 minutes, and 2 for --compile
# Writes $OUT/proof.tgz after each step: logs, bench.json, kernel profiles.
export RESULT=${OUT:-.} OUT=/tmp/enet_proof
mkdir -p "$OUT"
. scripts/gpu/setup.sh || exit 1
nvidia-smi -L
lines() { grep "^\[ *[0-9.]* s\]\|VERDICT\|passed\|failed\|^FAILED\|^E  " "$1" | tail -n "$2" | cut -c1-300; }
keep() { tar czf "$RESULT/proof.tgz" -C /tmp enet_proof; }

case " $* " in *' --probe '*)
  timeout 60 python3 scripts/gpu/probe.py > "$OUT/probe.log" 2>&1; lines "$OUT/probe.log" 3 ;;
esac

# What builds engines goes side by side; what is timed comes after it.
timeout 150 python3 -m pytest -m gpu -s -q -p no:cacheprovider test/backends > "$OUT/tests.log" 2>&1 &
tests=$!
timeout 150 python3 bin/enet-ros doctor --gpu > "$OUT/doctor_beside_tests.log" 2>&1 &
doctor=$!
for shape in 0 1 2 3; do timeout 150 python3 scripts/gpu/bench_gpu.py --build $shape > /dev/null 2>&1 & builds="$builds $!"; done
wait $builds $doctor $tests
date +%T; lines "$OUT/tests.log" 12; cut -c1-200 "$OUT/doctor_beside_tests.log" | tail -n 26
keep
timeout 110 python3 scripts/gpu/bench_gpu.py --budget 60 --variants > "$OUT/bench.log" 2>&1
date +%T; sed -n '/ms: host/,$p' "$OUT/bench.log" | cut -c1-200
keep
timeout 60 python3 bin/enet-ros doctor --gpu --json > "$OUT/doctor.json" 2> "$OUT/doctor.log"
date +%T; tail -n 40 "$OUT/doctor.json"; keep
case " $* " in *' --compile '*)
  timeout 150 python3 scripts/gpu/bench_gpu.py --compile > "$OUT/compile.log" 2>&1; lines "$OUT/compile.log" 4; keep ;;
esac
