#!/usr/bin/env bash
# The proof on a GPU machine without network, in the checkout's root, with .trt laid by prepare.sh:
#   bash scripts/gpu/prove.sh [--probe] [--tune] [--variants] [--compile]
# needs about 4 minutes, and 2 more for --compile. Without .trt it measures all but TensorRT.
# Writes $OUT/proof.tgz after each step: logs, bench.json, kernel profiles, tune.json.
export RESULT=${OUT:-.} OUT=/tmp/enet_proof
mkdir -p "$OUT"
. scripts/gpu/setup.sh || exit 1
nvidia-smi -L
lines() { grep "^\[ *[0-9.]* s\]\|VERDICT\|passed\|failed\|^FAILED\|^E  " "$1" | tail -n "$2" | cut -c1-300; }
keep() { tar czf "$RESULT/.proof.tgz" -C /tmp enet_proof && mv "$RESULT/.proof.tgz" "$RESULT/proof.tgz"; }
asked() { case " $options " in *" --$1 "*) ;; *) return 1 ;; esac; }
options=$*

if asked probe; then
  timeout 60 python3 scripts/gpu/probe.py > "$OUT/probe.log" 2>&1; lines "$OUT/probe.log" 3
fi

# What builds engines and kernels goes side by side; what is timed comes after it.
timeout 180 python3 -m pytest -m gpu -s -q -p no:cacheprovider test/backends > "$OUT/tests.log" 2>&1 &
builds=$!
timeout 180 python3 bin/enet-ros doctor --gpu --json > "$OUT/doctor.json" 2> "$OUT/doctor.log" &
builds="$builds $!"
export OMP_NUM_THREADS=2  # of each of them, for they are many
for shape in $(seq 0 $(($(python3 scripts/gpu/bench_gpu.py --count) - 1))); do
  timeout 150 python3 scripts/gpu/bench_gpu.py --build $shape > "$OUT/build_$shape.log" 2>&1 & builds="$builds $!"
done
if asked tune; then
  for choice in $(seq 0 $(($(python3 scripts/gpu/tune_triton.py --count) - 1))); do
    timeout 150 python3 scripts/gpu/tune_triton.py --build "$choice" > "$OUT/tune_$choice.log" 2>&1 & builds="$builds $!"
  done
fi
wait $builds
unset OMP_NUM_THREADS
date +%T; lines "$OUT/tests.log" 12; tail -n 40 "$OUT/doctor.json"; keep
if asked tune; then
  timeout 110 python3 scripts/gpu/tune_triton.py --budget 80 > "$OUT/tune.log" 2>&1
  date +%T; grep "in a row\|FAILED" "$OUT/tune.log" | cut -c1-120; keep
fi
timeout 110 python3 scripts/gpu/bench_gpu.py --budget 70 $(asked variants && echo --variants) > "$OUT/bench.log" 2>&1
date +%T; sed -n '/ms: host/,$p' "$OUT/bench.log" | cut -c1-200
keep
if asked compile; then
  timeout 130 python3 scripts/gpu/bench_gpu.py --compile > "$OUT/compile.log" 2>&1
  date +%T; lines "$OUT/compile.log" 8; keep
fi
timeout 120 python3 bin/enet-ros doctor --gpu > "$OUT/doctor.txt" 2>&1  # with nothing beside it
date +%T; cut -c1-200 "$OUT/doctor.txt" | tail -n 26; keep
