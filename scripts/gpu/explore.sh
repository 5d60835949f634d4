export OUT_REAL=$OUT OUT=/tmp/out; mkdir -p $OUT
. .trt/setup.sh || exit 1
nvidia-smi -L; date +%T
timeout 145 python3 scripts/gpu/bench_gpu.py --budget 105 --explore > $OUT/bench.log 2>&1; grep "^\[ *[0-9.]* s\]\|^Assert\|Error\|host" $OUT/bench.log | tail -n 40 | cut -c1-330; date +%T
tar czf $OUT_REAL/all1.tgz -C /tmp out
timeout 122 python3 scripts/gpu/bench_gpu.py --compile > $OUT/compile.log 2>&1; grep "^\[ *[0-9.]* s\]" $OUT/compile.log | tail -n 12 | cut -c1-260; date +%T
tar czf $OUT_REAL/all2.tgz -C /tmp out
