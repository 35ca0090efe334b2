#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# make-host.sh CACHE BUILD SUITE
#
# Makes the disk of a Debian host of that suite (bookworm, trixie) with systemd, and in its /usr/lib/test/installed what
# `make install` of BUILD installs, and prints its path. Packages are only unpacked, once; SUITE need not be
# this machine's. Exit code 77: the packages cannot be had. As root.
set -euo pipefail
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin

here=$(cd "$(dirname "$0")" && pwd)
repository=$(cd "$here/../.." && pwd)
cache=$(mkdir -p "${1:?usage: make-host.sh CACHE BUILD SUITE}" && cd "$1" && pwd)
build=$(cd "${2:?usage: make-host.sh CACHE BUILD SUITE}" && pwd)
suite=${3:?usage: make-host.sh CACHE BUILD SUITE}
tree=$cache/systemd-$suite
keys=/usr/share/keyrings/debian-archive-keyring.gpg

exec 9>"$cache/systemd-$suite.lock"
flock 9

skip() {
	echo "make-host.sh: $*" >&2
	exit 77
}

# apt with the suite's lists, and nothing installed.
suite_apt() {
	apt-get -q -y -o Dir::Etc::sourcelist="$tree.new/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$tree.new/lists" -o Dir::State::status="$tree.new/status" -o Dir::Cache="$tree.new/cache" \
		-o APT::Sandbox::User=root -o Debug::NoLocking=true -o Acquire::Retries=3 "$@" >"$tree.new/log" 2>&1
}

# The packages' content in $tree/root.
packages_unpack() {
	local mirror file
	mirror=$(apt-get indextargets --format '$(COMPONENT) $(REPO_URI) $(RELEASE)' |
		awk '$1 == "main" && $3 !~ /-/ { print $2; exit }')
	[ -n "$mirror" ] || skip "apt has no list of packages: run apt-get update"
	[ -e "$keys" ] || skip "there is no $keys"
	rm -rf "$tree" "$tree.new"
	mkdir -p "$tree.new"/{lists/partial,cache/archives/partial,root/usr}
	: >"$tree.new/status"
	echo "deb [signed-by=$keys] $mirror $suite main" >"$tree.new/sources.list"
	suite_apt update && ! grep '^[WE]:' "$tree.new/log" >&2 || skip "no list of the packages of $suite"
	# Only downloaded: to put so many in order, as a simulation does, takes apt minutes.
	# shellcheck disable=SC2046
	suite_apt --download-only --no-install-recommends install $(sed 's/#.*//' "$here/packages.txt") || {
		tail -3 "$tree.new/log" >&2
		skip "the packages of $suite cannot be had"
	}
	for file in bin sbin lib lib64; do
		mkdir -p "$tree.new/root/usr/$file"
		ln -s "usr/$file" "$tree.new/root/$file"
	done
	for file in "$tree.new"/cache/archives/*.deb; do
		dpkg --fsys-tarfile "$file" | tar -x -p --keep-directory-symlink -C "$tree.new/root" --exclude='./usr/share/doc/*' \
			--exclude='./usr/share/man/*' --exclude='./usr/share/locale/*' --exclude='./usr/share/perl*' \
			--exclude='./usr/lib/x86_64-linux-gnu/perl*' --exclude='./usr/share/zoneinfo/*'
	done
	rm -r "$tree.new"/{lists,cache}
	cp "$here/packages.txt" "$tree.new/complete"
	mv "$tree.new" "$tree"
}

# What the packages' own scripts would do, and the agent of the tests' guests as a service.
host_settle() {
	cp "$root/usr/share/base-passwd/passwd.master" "$root/etc/passwd"
	cp "$root/usr/share/base-passwd/group.master" "$root/etc/group"
	sed 's/:.*/:*:19000:0:99999:7:::/' "$root/etc/passwd" >"$root/etc/shadow"
	chmod 640 "$root/etc/shadow"
	printf 'UID_MIN 1000\nGID_MIN 1000\nUSERGROUPS_ENAB yes\n' >"$root/etc/login.defs"
	rm -rf "$root/var/run" "$root/var/lock"
	ln -s ../run "$root/var/run"
	echo vgpu-host >"$root/etc/hostname"
	echo 6d0f2f0c5b8a4e0f9d4a3b2c1d0e9f88 >"$root/etc/machine-id"
	printf '127.0.0.1 localhost vgpu-host\n' >"$root/etc/hosts"
	echo '/dev/vda / ext4 defaults 0 1' >"$root/etc/fstab"
	ldconfig -r "$root"
	# What has nothing to do here and takes an emulated processor long.
	for file in getty.target systemd-timesyncd.service systemd-networkd.service apt-daily.timer fstrim.timer \
		e2scrub_all.timer systemd-random-seed.service systemd-update-utmp.service systemd-fsck-root.service; do
		ln -sf /dev/null "$root/etc/systemd/system/$file"
	done
	mkdir -p "$root/usr/lib/test"
	gcc -std=gnu17 -O2 -Wall -Wextra -Werror -D_GNU_SOURCE -static -o "$root/usr/lib/test/agent" \
		"$repository/guest/image/agent.c"
	install -m 644 "$here/test-agent.service" "$root/etc/systemd/system/test-agent.service"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -s ../test-agent.service "$root/etc/systemd/system/multi-user.target.wants/test-agent.service"
	ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
}

[ "$(id -u)" = 0 ] || skip "not root"
cmp -s "$here/packages.txt" "$tree/complete" || packages_unpack

work=$(mktemp -d "$cache/systemd-host.XXXXXX")
trap 'rm -rf "$work"' EXIT
root=$work/root
cp -a "$tree/root" "$root"
host_settle
make --no-print-directory -C "$repository" install BUILD="$build" DESTDIR="$root/usr/lib/test/installed" >"$work/log" 2>&1 || {
	tail -20 "$work/log" >&2
	exit 1
}
# Programs and one library of a user's own.
for file in examples/vector_add tests/end_to_end/copy_loop guest/jobs/vgpu-run tests/end_to_end/round_trips; do
	install -D "$build/$file" "$root/usr/lib/test/${file##*/}"
done

disk=$cache/systemd-$suite.img
rm -f "$disk.new"
mke2fs -q -t ext4 -E root_owner=0:0 -d "$root" "$disk.new" 1G >/dev/null
mv "$disk.new" "$disk"
echo "$disk"
