#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUNDLE RESULTS [STEP...]
#
# On a machine with an NVIDIA GPU: the same programs natively and through mediator, executor and the guest
# library over the local transport, in the same run. Steps: kernels examples programs frameworks bench shares
# storm (default: all). RESULTS gets the logs; the last lines say what passed.
set -uo pipefail
bundle=$(cd "${1:?usage: run.sh BUNDLE RESULTS [STEP...]}" && pwd)
mkdir -p "${2:?usage: run.sh BUNDLE RESULTS [STEP...]}"
results=$(cd "$2" && pwd)
shift 2
steps=${*:-kernels examples programs frameworks bench shares storm}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
passed=0 failed=0 skipped=0

chmod +x "$bundle"/bin/*
LD_LIBRARY_PATH=$bundle/lib "$bundle/bin/mediator_phase3" --socket "$work/mediator.sock" --log "$results/mediator.log" \
	--executor "$bundle/bin/cuda-executor" --driver libcuda.so.1 --heartbeat 5 \
	--executor-environment LD_LIBRARY_PATH &
mediator=$!
trap 'kill $mediator 2>/dev/null; wait $mediator 2>/dev/null; rm -rf "$work"' EXIT
for _ in $(seq 100); do
	grep -q 'CUDA initialized' "$results/mediator.log" 2>/dev/null && break
	sleep 0.1
done
grep -E 'CUDA initialized|Listening' "$results/mediator.log" || { cat "$results/mediator.log"; exit 1; }

native() { "$@"; }
# The guest library goes first; programs find their other libraries where they would natively.
remoted() {
	VGPU_SOCKET=$work/mediator.sock VGPU_TRANSPORT=local \
		LD_LIBRARY_PATH=$bundle/guest${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}
verdict() { # NAME STATUS
	case $2 in
	0) passed=$((passed + 1)) && echo "ok   $1" ;;
	77) skipped=$((skipped + 1)) && echo "skip $1" ;;
	*) failed=$((failed + 1)) && echo "FAIL $1 ($2)" ;;
	esac
}
both() { # NAME COMMAND...
	local name=$1 side status
	shift
	for side in native remoted; do
		timeout 120 bash -c "$(declare -f native remoted); bundle=$bundle work=$work; $side \"\$@\"" - "$@" \
			>"$results/$name.$side.log" 2>&1
		status=$?
		verdict "$name ($side)" $status
		[ $status = 0 ] || [ $status = 77 ] || tail -5 "$results/$name.$side.log" | cut -c1-300
	done
}

for step in $steps; do
	case $step in
	kernels)
		both kernels "$bundle/bin/kernels_run" "$bundle/ptx"
		for side in native remoted; do
			echo "     $side: $(grep -c '^ok' "$results/kernels.$side.log") ok," \
				"$(grep -c '^not ok' "$results/kernels.$side.log") not ok"
			grep '^not ok' "$results/kernels.$side.log" | head -10
		done
		;;
	examples)
		both vector_add "$bundle/bin/vector_add"
		both matrix_product "$bundle/bin/matrix_product"
		;;
	programs)
		mkdir -p "$work/programs"
		if "$here/../programs/build.sh" "$work/programs" >"$results/programs-build.log" 2>&1; then
			for program in "$work"/programs/*; do
				[ -f "$program" ] && [ -x "$program" ] && both "program-$(basename "$program")" "$program"
			done
		else
			verdict programs-build 1
			tail -5 "$results/programs-build.log"
		fi
		;;
	frameworks)
		for script in "$here"/frameworks/*.py; do
			[ -f "$script" ] && both "framework-$(basename "$script" .py)" python3 "$script"
		done
		;;
	bench)
		native "$bundle/bin/launch_bench" >"$results/bench.native.json"
		verdict "bench (native)" $?
		remoted "$bundle/bin/launch_bench" >"$results/bench.remoted.json"
		verdict "bench (remoted)" $?
		python3 "$here/../../bench/compare.py" "$results/bench.native.json" "$results/bench.remoted.json" |
			tee "$results/bench.md"
		;;
	shares | storm)
		# With mediators of their own.
		python3 "$here/../../bench/$step.py" "$bundle" --json "$results/$step.json" 2>"$results/$step.errors" |
			tee "$results/$step.log"
		verdict "$step" "${PIPESTATUS[0]}"
		tail -5 "$results/$step.errors"
		;;
	esac
done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
