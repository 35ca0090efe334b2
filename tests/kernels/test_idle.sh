#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: test_idle.sh KERNELS_RUN IDLE_LIBRARY
# Every case must fail with a library that computes nothing.  TAP.
set -eu
export VGPU_TEST_LIBCUDA="$2"
output=$("$1" || true)
planned=$(printf '%s\n' "$output" | sed -n 's/^1\.\.//p')
failed=$(printf '%s\n' "$output" | grep -c '^not ok' || true)
echo "1..1"
if [ "${planned:-0}" -gt 0 ] && [ "$planned" = "$failed" ]; then
	echo "ok 1 - all $planned cases fail without a GPU that computes"
else
	printf '%s\n' "$output" | grep '^ok' | sed 's/^/# /' || true
	echo "not ok 1 - only $failed of ${planned:-0} cases fail without a GPU that computes"
	exit 1
fi
