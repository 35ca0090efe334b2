#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build-preload.sh CACHE
#
# Builds the device for the distribution's own QEMU and prints the path of vgpu-cuda.so, which the
# wrapper vgpu-qemu loads into it.  The headers are those of the exact source version that the
# installed binary was made from; the object records the build ids of that package's programs and
# refuses every other one.  A second run with nothing changed only compares checksums.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
protocol=$here/../../protocol
cache=$(mkdir -p "${1:?usage: build-preload.sh CACHE}" && cd "$1" && pwd)
object=$cache/vgpu-cuda.so
log=$cache/build-preload.log
sources=("$here/vgpu-cuda.c" "$here/vgpu-cuda-registers.c" "$here/vgpu-cuda-channel.c" "$here/vgpu-cuda-link.c"
	"$here/vgpu-preload.c")
programs=(/usr/bin/qemu-system-x86_64 /usr/bin/qemu-system-x86_64-microvm)

fail() {
	echo "build-preload.sh: $*" >&2
	exit 1
}

# One at a time in a cache.
exec 9>"$cache/lock"
flock 9

ids=
for program in "${programs[@]}"; do
	id=$(readelf -n "$program" 2>/dev/null | sed -n 's/.*Build ID: //p') || true
	[ -z "$id" ] || ids+="\"$id\","
done
[ -n "$ids" ] || fail "there is no QEMU with a build id at ${programs[*]}"

stamp=$(cat "${sources[@]}" "$here"/vgpu-cuda{,-compat}.h "$protocol"/vgpu_{device,control}.h "$0" | sha256sum)$ids
if [ -e "$object" ] && [ "$(cat "$object.stamp" 2>/dev/null)" = "$stamp" ]; then
	echo "$object"
	exit 0
fi

tree=$("$here/fetch-source.sh" "$cache")
headers=$tree/vgpu-headers
if [ ! -e "$headers/.complete" ]; then
	rm -rf "$headers"
	mkdir -p "$headers"
	(
		cd "$headers" &&
		# The options decide which subsystems are configured, not the layout of any structure that
		# a PCI device sees.
		../configure --target-list=x86_64-softmmu --without-default-features --enable-modules --enable-tcg \
			--enable-kvm --disable-docs --disable-tools --disable-werror --disable-install-blobs \
			$(cat ../vgpu-offline) &&
			ninja $(ninja -t targets all | sed 's/: .*//' |
				grep -E '^(qapi|trace)/.*\.h$|^(config-poison|qemu-version)\.h$') &&
			touch .complete
	) >"$log" 2>&1 </dev/null || {
		tail -5 "$log" >&2
		fail "could not configure QEMU's source (see $log)"
	}
fi

gcc -shared -fPIC -O2 -g -Wall -Wextra -Wno-unused-parameter -Wno-missing-field-initializers -Wno-sign-compare \
	-Wno-type-limits -Wstrict-prototypes -Wmissing-prototypes -Wvla -Werror -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-fno-strict-aliasing -fno-common -fwrapv -fvisibility=hidden -DVGPU_QEMU_BUILD_IDS="$ids" \
	-iquote "$headers" -iquote "$headers/qapi" -iquote "$tree" -iquote "$tree/include" -iquote "$tree/tcg/i386" \
	-iquote "$protocol" -isystem "$tree/linux-headers" -I"$headers" $(pkg-config --cflags glib-2.0 gmodule-2.0) \
	-o "$object.new" "${sources[@]}" >"$cache/build-device.log" 2>&1 || {
	cat "$cache/build-device.log" >&2
	fail "the device does not compile against $tree"
}
mv "$object.new" "$object"
echo "$stamp" >"$object.stamp"
echo "$object"
