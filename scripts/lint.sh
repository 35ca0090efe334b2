#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Layout (clang-format) and clang-tidy over our own C. usage: lint.sh BUILD_DIRECTORY
set -eu
cd "$(dirname "$0")/.."
build=$1

files=$(git -c safe.directory='*' ls-files '*.c' '*.h' | grep -v -e '^guest/driver/' -e '^host/qemu/')
# shellcheck disable=SC2086
clang-format --dry-run --Werror $files
echo "layout: $(echo "$files" | wc -l) files"

# Test programs end by exit(): the analyser's leaks mean nothing there.
sources=$(echo "$files" | grep '\.c$' | grep -v -e '^tests/' -e '/tests/' | while read -r file; do
	grep -q "/$file\"" "$build/compile_commands.json" && echo "$file"
done || true)
# shellcheck disable=SC2086
echo "$sources" | xargs -P 2 -n 4 clang-tidy --quiet -p "$build" --warnings-as-errors='*' 2>/dev/null
echo "clang-tidy: $(echo "$sources" | wc -l) files"
