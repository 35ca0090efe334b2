#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh BUNDLE RESULTS [STEP...]
#
# On a machine with an NVIDIA GPU: the same programs natively and through mediator, executor and the guest
# library over the local transport, in the same run. Steps: kernels memory streams errors examples programs frameworks speed
# nvml bench shares storm idle worker (default: all; worker: the same again, with the GPU at a vgpu-worker over TLS), guest
# (PyTorch and CuPy in a virtual machine: guest.sh), several (two GPUs), users and worker-users (executors as users of
# their own, here and at a worker),
# netem (a worker behind a network that delays: ip, tc and root), llama (llama.cpp as Ollama carries it, in the folder
# LLAMA: llama/CMakeLists.txt), and samples (NVIDIA's cuda-samples, in the folder SAMPLES, which is changed:
# docs/cuda-samples.md); JOBS_MAX commands at a time, each for SECONDS_MAX at most. Workers
# get WORKER_LANES, or as many lanes as usual. RESULTS gets the logs; the last lines say what passed.
set -uo pipefail
bundle=$(cd "${1:?usage: run.sh BUNDLE RESULTS [STEP...]}" && pwd)
mkdir -p "${2:?usage: run.sh BUNDLE RESULTS [STEP...]}"
results=$(cd "$2" && pwd)
shift 2
steps=${*:-kernels memory streams errors examples programs frameworks speed nvml bench shares storm idle worker}
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
passed=0 failed=0 skipped=0

# Programs here are trusted, and a machine of the tests may have HMM (docs/operations.md).
trusting=(--allow-pageable-access yes)

chmod +x "$bundle"/bin/*
LD_LIBRARY_PATH=$bundle/lib "$bundle/bin/mediator_phase3" --socket "$work/mediator.sock" --log "$results/mediator.log" \
	--executor "$bundle/bin/cuda-executor" --driver libcuda.so.1 --heartbeat 5 \
	--executor-environment LD_LIBRARY_PATH "${trusting[@]}" &
mediator=$!
trap 'kill $mediator 2>/dev/null; wait $mediator 2>/dev/null; rm -rf "$work"' EXIT
# line_await TEXT FILE: at most ten seconds.
line_await() {
	for _ in $(seq 100); do
		grep -q "$1" "$2" 2>/dev/null && break
		sleep 0.1
	done
}
line_await 'CUDA initialized' "$results/mediator.log"
grep -E 'CUDA initialized|Listening|kernels reach' "$results/mediator.log" || { cat "$results/mediator.log"; exit 1; }

# Where a test asks what only we promise, it looks at VGPU_NATIVE.
native() { VGPU_NATIVE=1 "$@"; }
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
# run_side NAME SIDE COMMAND...: leaves a log and the exit status in the results.
run_side() {
	local name=$1 side=$2
	shift 2
	timeout -k 5 "$seconds_max" bash -c "$(declare -f native remoted); bundle=$bundle work=$work; $side \"\$@\"" - "$@" \
		>"$results/$name.$side.log" 2>&1
	echo $? >"$results/$name.$side.status"
}
# both NAME COMMAND...: starts it natively and remoted, in the background; at most $jobs_max commands at a time.
both() {
	local side
	for side in native remoted; do
		while [ "$(jobs -rp | wc -l)" -gt "$jobs_max" ]; do
			wait -n
		done
		run_side "$1" $side "${@:2}" &
	done
	names="$names $1"
}
# Waits for what both() started; what it says natively and remoted in lines "result ..." must be the same.
verdicts() {
	local name side status
	# The mediator is a job of this shell too.
	while [ "$(jobs -rp | wc -l)" -gt 1 ]; do
		wait -n
	done
	for name in $names; do
		for side in native remoted; do
			status=$(cat "$results/$name.$side.status")
			verdict "$name ($side)" "$status"
			[ "$status" = 0 ] || [ "$status" = 77 ] || tail -5 "$results/$name.$side.log" | cut -c1-300
		done
		if grep -q '^result ' "$results/$name.native.log"; then
			diff <(grep '^result ' "$results/$name.native.log") <(grep '^result ' "$results/$name.remoted.log")
			verdict "$name: same results" $?
		fi
	done
	names=
}
# both_own STEP: programs of ours, with the libraries of the bundle, one at a time: they look at how much memory is free.
both_own() {
	local name jobs_max=1
	for name in $(awk -v step="$1" '$1 == step { print $2 }' "$here/programs"); do
		LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$bundle/lib both "$name" "$bundle/bin/$name"
	done
	verdicts
}
# far_start HOST RESULTS [PREFIX...]: a worker there, and a mediator of its own which knows no driver: the GPU is at the end
# of a TLS connection, with the further options of the worker's in the array far_options. far COMMAND...: through it.
far_options=()
far_start() {
	local host=$1 folder=$2 port=$((20000 + RANDOM % 20000))
	shift 2
	rm -rf "$work/worker"
	mkdir -p "$work/worker" "$folder"
	rm -f "$folder"/{worker,mediator}.log
	echo "psk $(od -An -tx1 -N32 /dev/urandom | tr -d ' \n')" >"$work/worker.psk"
	LD_LIBRARY_PATH=$bundle/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@" "$bundle/bin/vgpu-worker" \
		--listen "$host:$port" --credentials "$work/worker.psk" --driver libcuda.so.1 --allow-pageable-access \
		"${far_options[@]}" \
		>"$folder/worker.log" 2>&1 &
	worker=$!
	line_await 'listens on' "$folder/worker.log"
	LD_LIBRARY_PATH=$bundle/lib "$bundle/bin/mediator_phase3" --socket "$work/worker/mediator.sock" \
		--log "$folder/mediator.log" --executor "$bundle/bin/cuda-executor" \
		--driver /nonexistent/libcuda.so.1 --worker "A=$host:$port" \
		--worker-credentials "$work/worker.psk" --executor-environment LD_LIBRARY_PATH --heartbeat 5 \
		${WORKER_LANES:+--worker-lanes "$WORKER_LANES"} &
	far_mediator=$!
	line_await 'Listening on socket' "$folder/mediator.log"
}
far() {
	VGPU_SOCKET=$work/worker/mediator.sock VGPU_TRANSPORT=local \
		LD_LIBRARY_PATH=$bundle/guest${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}
far_stop() {
	kill $far_mediator $worker 2>/dev/null
	wait $far_mediator $worker 2>/dev/null
}
names=
jobs_max=${JOBS_MAX:-$(nproc)}
seconds_max=${SECONDS_MAX:-150}

for step in $steps; do
	case $step in
	kernels)
		both kernels "$bundle/bin/kernels_run" "$bundle/ptx"
		verdicts
		for side in native remoted; do
			echo "     $side: $(grep -c '^ok' "$results/kernels.$side.log") ok," \
				"$(grep -c '^not ok' "$results/kernels.$side.log") not ok"
			grep '^not ok' "$results/kernels.$side.log" | head -10
		done
		;;
	memory)
		both_own memory
		;;
	streams)
		both_own streams
		LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$bundle/lib both uncommon-settings \
			"$bundle/bin/uncommon_uses" settings
		verdicts
		;;
	errors)
		both_own errors
		;;
	examples)
		both vector_add "$bundle/bin/vector_add"
		both matrix_product "$bundle/bin/matrix_product"
		verdicts
		;;
	programs)
		mkdir -p "$work/programs"
		if "$here/../programs/build.sh" "$work/programs" >"$results/programs-build.log" 2>&1; then
			for program in "$work"/programs/*; do
				[[ $program != *device_query* && -f $program && -x $program ]] || continue
				both "program-$(basename "$program")" "$program"
			done
			verdicts
			# Alone, for it looks at how much memory is free.
			for program in "$work"/programs/device_query*; do
				jobs_max=1 both "program-$(basename "$program")" "$program"
			done
			verdicts
		else
			verdict programs-build 1
			tail -5 "$results/programs-build.log"
		fi
		;;
	frameworks)
		for script in "$here"/frameworks/*_*.py; do
			both "framework-$(basename "$script" .py)" python3 "$script"
		done
		verdicts
		;;
	speed)
		# One at a time, the sides in turns: these are timed, and the machine is not the same all the time.
		for round in 1 2 3; do
			for script in ../../bench/torch_steps frameworks/torch_gpt2 frameworks/torch_features; do
				name=speed-$(basename "$script")-$round
				for side in native remoted; do
					run_side "$name" $side python3 "$here/$script.py"
					verdict "$name ($side)" "$(cat "$results/$name.$side.status")"
				done
			done
		done
		python3 "$here/../../bench/ratios.py" "$results" speed-torch_steps speed-torch_gpt2 speed-torch_features |
			tee "$results/speed.md"
		;;
	nvml)
		for side in native remoted; do
			$side python3 "$here/nvml.py" collect "$results/nvml.$side.json"
			verdict "nvml collect ($side)" $?
		done
		python3 "$here/nvml.py" compare "$results/nvml.native.json" "$results/nvml.remoted.json" \
			>"$results/nvml.compare.log"
		verdict "nvml compare" $?
		tail -20 "$results/nvml.compare.log" | cut -c1-300
		VGPU_TEST_NVML=$bundle/guest/libnvidia-ml.so.1 LD_LIBRARY_PATH=$bundle/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
			remoted "$bundle/bin/test_tenant" >"$results/nvml-tenant.log" 2>&1
		verdict "nvml tenant (remoted)" $?
		grep -v '^\[  *OK' "$results/nvml-tenant.log" | tail -5
		if command -v nvidia-smi >/dev/null; then
			for side in native remoted; do
				$side nvidia-smi -L >"$results/nvidia-smi-L.$side.log" 2>&1
				verdict "nvidia-smi -L ($side)" $?
				$side nvidia-smi >"$results/nvidia-smi.$side.log" 2>&1
				verdict "nvidia-smi ($side)" $?
				$side nvidia-smi -q >"$results/nvidia-smi-q.$side.log" 2>&1
				verdict "nvidia-smi -q ($side)" $?
			done
			diff "$results/nvidia-smi-L.native.log" "$results/nvidia-smi-L.remoted.log"
			verdict "nvidia-smi -L alike" $?
			python3 "$here/nvml.py" smi "$results/nvidia-smi-q.native.log" "$results/nvidia-smi-q.remoted.log" |
				tail -20
			verdict "nvidia-smi -q alike" "${PIPESTATUS[0]}"
		else
			verdict nvidia-smi 77
		fi
		;;
	bench)
		native "$bundle/bin/launch_bench" >"$results/bench.native.json"
		verdict "bench (native)" $?
		remoted "$bundle/bin/launch_bench" >"$results/bench.remoted.json"
		verdict "bench (remoted)" $?
		python3 "$here/../../bench/compare.py" "$results/bench.native.json" "$results/bench.remoted.json" |
			tee "$results/bench.md"
		python3 "$here/../../bench/compare.py" --without-goals --histograms "$results"/bench.{native,remoted}.json \
			>"$results/bench.histograms.md"
		;;
	worker)
		far_start 127.0.0.1 "$results/worker"
		far "$bundle/bin/kernels_run" "$bundle/ptx" >"$results/worker/kernels.log" 2>&1
		verdict "worker: kernels" $?
		for program in "$bundle"/bin/{vector_add,matrix_product,bulk_copies,managed_memory,managed_mirrored} \
			"$work"/programs/*; do
			[ -f "$program" ] && [ -x "$program" ] || continue
			name=$(basename "$program")
			LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$bundle/lib \
				far timeout "$seconds_max" "$program" >"$results/worker/$name.log" 2>&1
			verdict "worker: $name" $?
		done
		for script in "$here"/frameworks/{torch,cupy}_*.py; do
			name=$(basename "$script" .py)
			far timeout "$seconds_max" python3 "$script" >"$results/worker/$name.log" 2>&1
			status=$?
			verdict "worker: $name" $status
			[ $status = 0 ] || tail -5 "$results/worker/$name.log" | cut -c1-300
		done
		far "$bundle/bin/launch_bench" >"$results/worker/bench.json"
		verdict "worker: bench" $?
		native "$bundle/bin/launch_bench" >"$results/worker/bench.native.json"
		python3 "$here/../../bench/compare.py" "$results/worker/bench.native.json" "$results/worker/bench.json" |
			tee "$results/worker/bench.md"
		far_stop
		;;
	netem)
		# The worker in a network namespace, behind a pair of interfaces that delay each way (addresses of RFC 2544).
		if ! ip netns add vgpu-worker 2>/dev/null ||
			! ip link add vgpu-host type veth peer name vgpu-far netns vgpu-worker; then
			verdict netem 77
			continue
		fi
		mkdir -p "$results/netem"
		ip address add 198.18.51.1/24 dev vgpu-host
		ip link set vgpu-host up
		ip -n vgpu-worker address add 198.18.51.2/24 dev vgpu-far
		ip -n vgpu-worker link set vgpu-far up
		native "$bundle/bin/launch_bench" --quick >"$results/netem/native.json"
		far_start 198.18.51.2 "$results/netem" ip netns exec vgpu-worker
		for delay in 0 100us 1ms; do
			if [ $delay != 0 ]; then
				tc qdisc replace dev vgpu-host root netem delay $delay limit 100000 &&
					tc -n vgpu-worker qdisc replace dev vgpu-far root netem delay $delay limit 100000 ||
					{ verdict "netem: $delay" 77 && continue; }
			fi
			far "$bundle/bin/launch_bench" --quick >"$results/netem/$delay.json"
			verdict "netem: $delay" $?
			echo "delay each way: $delay"
			python3 "$here/../../bench/compare.py" "$results/netem/native.json" "$results/netem/$delay.json" |
				tee "$results/netem/$delay.md"
		done
		far_stop
		ip netns delete vgpu-worker
		;;
	llama)
		# Built once, unless LLAMA_BUILD names a folder where it is.
		llama=${LLAMA_BUILD:-$work/llama}
		[ -x "$llama/llama_run" ] || {
			cmake -S "$here/llama" -B "$llama" -DCMAKE_BUILD_TYPE=Release -DCMAKE_CUDA_ARCHITECTURES=native \
				-DLLAMA="${LLAMA:?a folder with the tree of Ollama}" &&
				cmake --build "$llama" -j "$(nproc)"
		} >"$results/llama-build.log" 2>&1
		verdict "llama: built" $?
		for size in 1b 8b; do
			"$llama/model_make" "$work/$size.gguf" $size
			verdict "llama: model of $size" $?
			for round in 1 2 3; do
				name=llama-$size-$round
				for side in native remoted; do
					run_side "$name" $side "$llama/llama_run" "$work/$size.gguf"
					verdict "$name ($side)" "$(cat "$results/$name.$side.status")"
				done
				diff <(grep '^result ' "$results/$name.native.log") <(grep '^result ' "$results/$name.remoted.log")
				verdict "$name: same results" $?
			done
			rm "$work/$size.gguf"
		done
		python3 "$here/../../bench/ratios.py" "$results" llama-1b llama-8b | tee "$results/llama.md"
		;;
	samples)
		# NVIDIA's cuda-samples, in a folder that SAMPLES names: built once, for they are many.
		python3 "$here/samples.py" build "${SAMPLES:?a folder with cuda-samples}" "$work/samples"
		verdict "samples: built" $?
		for side in native remoted; do
			$side python3 "$here/samples.py" run "$SAMPLES" "$work/samples" "$results/samples.$side.json"
		done
		python3 "$here/samples.py" table "$results/samples.native.json" "$results/samples.remoted.json" |
			tee "$results/samples.md"
		verdict samples "${PIPESTATUS[0]}"
		;;
	several)
		# For a machine with two GPUs. The second mediator places each program on one of them.
		both_own several
		for script in "$here"/several/*_*.py "$here/frameworks/jax_features.py"; do
			PYTHONPATH=$here/frameworks both "several-$(basename "$script" .py)" python3 "$script"
		done
		verdicts
		python3 "$here/../../bench/placement.py" "$bundle" | tee "$results/placement.log"
		verdict placement "${PIPESTATUS[0]}"
		;;
	users)
		# Executors as users of their own, one for each tenant (executor-users-first): as root only.
		if [ "$(id -u)" != 0 ]; then
			verdict users 77
			continue
		fi
		mkdir -p "$work/users" "$results/users"
		cp -r "$bundle" "$work/users/bundle"
		chmod -R a+rX "$work" "$work/users"
		LD_LIBRARY_PATH=$work/users/bundle/lib "$work/users/bundle/bin/mediator_phase3" --socket "$work/users/mediator.sock" \
			--log "$results/users/mediator.log" --executor "$work/users/bundle/bin/cuda-executor" --driver libcuda.so.1 \
			--executor-user nobody --executor-users-first 1879048192 --socket-mode 0666 \
			--compute-cache "$work/users/cache" \
			--executor-environment LD_LIBRARY_PATH --heartbeat 5 "${trusting[@]}" &
		users_mediator=$!
		line_await 'Listening on socket' "$results/users/mediator.log"
		as_users() { VGPU_SOCKET=$work/users/mediator.sock VGPU_TRANSPORT=local \
			LD_LIBRARY_PATH=$work/users/bundle/guest${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"; }
		for command in "$work/users/bundle/bin/kernels_run $work/users/bundle/ptx" \
			"$work/users/bundle/bin/"{vector_add,ipc,shared_allocation,shared_pool,host_functions} \
			"python3 $here/frameworks/"{torch_features,torch_processes,cupy_features}.py; do
			name=${command#python3 } name=$(basename "${name%% *}" .py)
			# shellcheck disable=SC2086  # a command and its argument
			LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$work/users/bundle/lib as_users \
				timeout "$seconds_max" $command >"$results/users/$name.log" 2>&1
			status=$?
			verdict "users: $name" $status
			[ $status = 0 ] || tail -5 "$results/users/$name.log" | cut -c1-300
		done
		# What the driver has compiled is there at the next start, which compiles nothing, and is its user's alone.
		find "$work/users/cache" -type f -printf '%U %s %P\n' | sort >"$results/users/cache.log"
		[ "$(awk '$1 >= 1879048192 && $3 ~ /^user-0\// { count++ } END { print count + 0 }' "$results/users/cache.log")" -gt 0 ]
		verdict "users: compute cache" $?
		LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$work/users/bundle/lib as_users \
			"$work/users/bundle/bin/kernels_run" "$work/users/bundle/ptx" >"$results/users/kernels_again.log" 2>&1
		find "$work/users/cache" -type f -printf '%U %s %P\n' | sort | diff "$results/users/cache.log" -
		verdict "users: compute cache, used again" $?
		# Two tenants at once, root and somebody: two users, neither of them root.
		end=$(awk '{ print int($1) + 8 }' /proc/uptime)
		tenants=()
		for tenant in 0 12345; do
			as_users setpriv --reuid "$tenant" --clear-groups "$work/users/bundle/bin/tenant" check --to "$end" \
				>"$results/users/tenant-$tenant.log" 2>&1 &
			tenants+=($!)
		done
		sleep 5
		stat -c %u /proc/$(pgrep -d ' /proc/' -x cuda-executor) >"$results/users/executors.log"
		[ "$(awk '$1 >= 1879048192' "$results/users/executors.log" | sort -u | wc -l)" = 2 ]
		verdict "users: one for each tenant" $?
		cat "$results/users/executors.log"
		wait "${tenants[@]}"
		verdict "users: both computed" $?
		kill $users_mediator 2>/dev/null
		wait $users_mediator 2>/dev/null
		;;
	worker-users)
		if [ "$(id -u)" != 0 ]; then
			verdict worker-users 77
			continue
		fi
		whole_bundle=$bundle bundle=$work/far-users/bundle cache=$work/far-users/cache
		mkdir -p "$work/far-users"
		cp -r "$whole_bundle" "$bundle"
		chmod -R a+rX "$work" "$work/far-users"
		far_options=(--executor-user nobody --executor-users-first 1879113728 --compute-cache "$cache")
		far_start 127.0.0.1 "$results/worker-users"
		for command in "$bundle/bin/kernels_run $bundle/ptx" "$bundle/bin/"{vector_add,ipc,shared_pool} \
			"python3 $here/frameworks/torch_processes.py"; do
			name=${command#python3 } name=$(basename "${name%% *}" .py)
			# shellcheck disable=SC2086  # a command and its argument
			LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$bundle/lib far timeout "$seconds_max" $command \
				>"$results/worker-users/$name.log" 2>&1
			verdict "worker-users: $name" $?
		done
		# What the driver has compiled is the tenant's user's.
		find "$cache" -type f -printf '%U %s %P\n' | sort >"$results/worker-users/cache.log"
		[ "$(awk '$1 >= 1879113728 && $3 ~ /^host-[0-9a-f]*-user-0\// { count++ } END { print count + 0 }' \
			"$results/worker-users/cache.log")" -gt 0 ]
		verdict "worker-users: compute cache" $?
		far_stop
		far_options=() bundle=$whole_bundle
		;;
	guest)
		"$here/guest.sh" "$bundle" "$work/mediator.sock" "$results"
		verdict guest $?
		;;
	shares | storm | idle)
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
