#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# run.sh BUILD [SECONDS]: runs the fuzzers of a build that has them, each for that long; without it on a number of inputs, the
# executor's on its seeds alone: what it does between records depends on time, so what is made of them is never the same.
# What fails is left in BUILD/fuzz, with how it is run again.
set -eu
build=$(realpath "$1")
cd "$(dirname "$0")/../.."
seconds=${2:-}
work=$build/fuzz
passed=0
failed=0

rm -rf "$work/seeds" "$work/found" "$work"/*.log
mkdir -p "$work/seeds"
"$build/tests/fuzz/fuzz_seeds" "$work/seeds"
export VGPU_TEST_DRIVER="$build/tests/executor/libstrict_driver.so"
# The executor's code is there without its sandbox.
export VGPU_TEST_NO_SANDBOX=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

# PROGRAM SEEDS RUNS OPTION ...
fuzz() {
	name=${1##*/fuzz_} program=$build/$1 seeds=$2 runs=$3
	shift 3
	# What is found goes into the first folder: the seeds stay as they are.
	found=$work/corpus/$name
	if [ -n "$seconds" ]; then
		set -- "$@" "-max_total_time=$seconds"
	else
		found=$work/found/$name
		set -- "$@" "-runs=$runs" -seed=1 -reload=0
	fi
	mkdir -p "$found"
	if "$program" -print_final_stats=1 "-artifact_prefix=$work/$name-" "$@" "$found" "$seeds" \
		>"$work/$name.log" 2>&1; then
		passed=$((passed + 1))
		echo "ok - fuzz_$name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log") inputs"
	else
		failed=$((failed + 1))
		echo "not ok - fuzz_$name"
		tail -n 60 "$work/$name.log"
		echo "again: VGPU_TEST_DRIVER=$VGPU_TEST_DRIVER UBSAN_OPTIONS=$UBSAN_OPTIONS $program FILE"
	fi
}

fuzz tests/fuzz/fuzz_image "$work/seeds/image" 300000 -max_len=16384 -timeout=120
fuzz tests/fuzz/fuzz_job "$work/seeds/job" 100000 -max_len=16384 -timeout=120
fuzz tests/fuzz/fuzz_telemetry "$work/seeds/telemetry" 1000000 -max_len=32768 -timeout=120
# What they log is none of ours.
fuzz tests/fuzz/fuzz_relay tests/fuzz/seeds/relay 30000 -max_len=16384 -timeout=120 -close_fd_mask=2
fuzz tests/fuzz/fuzz_mirror tests/fuzz/seeds/mirror 50000 -max_len=16384 -timeout=120 -close_fd_mask=2
fuzz tests/fuzz/fuzz_lane tests/fuzz/seeds/lane 50000 -max_len=16384 -timeout=120
fuzz tests/fuzz/fuzz_mediator "$work/seeds/mediator" 5000 -max_len=16384 -timeout=120 -close_fd_mask=2
fuzz softgpu/driver/fuzz_fatbin "$work/seeds/image" 100000 -max_len=16384 -timeout=120
fuzz softgpu/engine/tests/fuzz_engine_module tests/kernels/ptx 500 -max_len=16384
# The executor's children end without giving their memory back; the parent of each is checked.
fuzz tests/fuzz/fuzz_executor "$work/seeds/executor" 0 -max_len=262144 -detect_leaks=0
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
