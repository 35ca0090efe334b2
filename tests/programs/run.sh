#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# usage: run.sh DIR [NAME...]
# Runs the programs that build.sh put into DIR and prints TAP; NAME with or without _static and _shared.  Which
# libcuda.so.1 they use is the caller's LD_LIBRARY_PATH.  PROGRAM_SECONDS_MAX limits each (default 120).
set -u

[ $# -ge 1 ] || { echo "usage: $0 DIR [NAME...]" >&2; exit 2; }
folder=$1
shift
if ! [ -d "$folder" ]; then
	echo "1..0 # SKIP no programs in $folder (build.sh needs nvcc)"
	exit 0
fi

chosen() {
	[ $# -gt 1 ] || return 0
	program=$(basename "$1")
	shift
	for name; do
		[ "$program" = "$name" ] || [ "${program%_*}" = "$name" ] && return 0
	done
	return 1
}

list=
count=0
for program in "$folder"/*; do
	if [ -f "$program" ] && [ -x "$program" ] && chosen "$program" "$@"; then
		list="$list $program"
		count=$((count + 1))
	fi
done

echo "1..$count"
number=0
failed=0
for program in $list; do
	number=$((number + 1))
	name=${program#"$folder"/}
	output=$(timeout -k 5 "${PROGRAM_SECONDS_MAX:-120}" "$program" 2>&1)
	status=$?
	last=$(printf '%s\n' "$output" | tail -n 1)
	case $status/$last in
	0/PASS*) echo "ok $number - $name" ;;
	77/SKIP*) echo "ok $number - $name # SKIP ${last#*: }" ;;
	124/*)
		echo "not ok $number - $name # no end within the time limit; last line: $last"
		failed=$((failed + 1))
		;;
	*)
		echo "not ok $number - $name # status $status: $last"
		failed=$((failed + 1))
		;;
	esac
done
[ "$failed" -eq 0 ]
