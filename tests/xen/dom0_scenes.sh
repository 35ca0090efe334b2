# SPDX-License-Identifier: Apache-2.0
# Verdicts, and how checks are begun over, for dom0.sh.
#
# The emulation of AMD's virtualisation at times saves the state of Xen itself as that of a guest, which Xen then runs: the
# guest ends by a triple fault at an instruction of Xen's (docs/xen.md, "The laboratory"). A scene is a guest or two and
# their checks. One that fails and has such an end in it is begun over; whatever else ends a guest fails.

repeats=0
repeats_max=3
fault=
domains=$scratch/domains
messages=$scratch/xen.messages
verdicts=$scratch/verdicts
: >"$domains"
: >"$messages"

verdict() { # STATUS NAME
	echo "$1 $2" >>"$verdicts"
	echo "seen after $(cut -d' ' -f1 /proc/uptime) s: $1 $2"
}
# Takes over what Xen has said since the last time, but for its lists of grants.
messages_read() {
	xl dmesg -c | tr -d '\r' | grep -v '^(XEN) \[0x' >>"$messages"
}
# Of Xen's messages: each guest that ended by a fault, as "emulation DOMAIN" or "other DOMAIN". An HVM or PVH guest
# cannot have Xen's code segment and an address of Xen's image (4.17: 1 GiB from ffff82d040000000) at once. A dump that is
# not complete says nothing.
guest_ends() {
	awk '
		/^\(XEN\) d[0-9]+v[0-9]+ Triple fault / {
			domain = $2
			sub(/^d/, "", domain)
			sub(/v.*/, "", domain)
			own = 0
		}
		/^\(XEN\) Domain [0-9]+ \(vcpu#[0-9]+\) crashed on cpu#/ { print "other", $3 }
		domain != "" && /^\(XEN\) RIP: / { own = length($3) == 25 && $3 ~ /^e008:\[<ffff82d0[4-7][0-9a-f]*>\]$/ }
		domain != "" && /^\(XEN\) RFLAGS: .* CONTEXT: / {
			print own && $0 ~ ("CONTEXT: hvm guest \\(d" domain "v[0-9]+\\)$") ? "emulation" : "other", domain
			domain = ""
		}
	'
}
ends_now() { # of this attempt
	tail -n "+$((messages_mark + 1))" "$messages" | guest_ends
}
# Once such an end is known nothing more is waited for.
fault_seen() {
	[ -z "$fault" ] || return 0
	messages_read
	fault=$(ends_now | sed -n 's/^emulation //p' | head -n 1)
	[ -n "$fault" ]
}
# until_true SECONDS COMMAND...
until_true() {
	left=$((patience * $1 * 5))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $left -gt 0 ] && [ -z "$fault" ] || return 1
		left=$((left - 1))
		[ $((left % 50)) != 0 ] || ! fault_seen || return 1
		usleep 200000
	done
}
# logged NAME PATTERN: its log has it, since this attempt began.
logged() {
	eval "mark=\$mark_$1"
	tail -n "+$((mark + 1))" "$scratch/$1.log" | grep -q "$2"
}
domain_is() { # NAME DOMAIN
	echo "$1 $2" >>"$domains"
}
domain_forget() { # NAME: it was to end
	sed -i "/^$1 /d" "$domains"
}
# Whether a guest may be started that is not there: it never was, or it ended by the emulation.
may_start() { # NAME
	last=$(sed -n "s/^$1 //p" "$domains" | tail -n 1)
	[ -n "$last" ] || return 0
	messages_read
	guest_ends <"$messages" | grep -qx "emulation $last" || return 1
	repeats=$((repeats + 1))
	echo "TAP # $1 is started again: it ended by the emulation"
}
is_spoilt() {
	grep -qv '^0 ' "$verdicts" && fault_seen && ! ends_now | grep -q '^other '
}
# scene FUNCTION: its verdicts are those of the last attempt.
scene() {
	attempt=1
	while :; do
		: >"$verdicts"
		messages_read
		messages_mark=$(wc -l <"$messages")
		for log in mediator worker; do
			eval "mark_$log=$(cat "$scratch/$log.log" 2>/dev/null | wc -l)"
		done
		fault=
		"$1"
		status=$?
		is_spoilt && [ $attempt -le $repeats_max ] || break
		attempt=$((attempt + 1))
		repeats=$((repeats + 1))
		echo "TAP # $1 is begun over: domain $fault ended by the emulation"
		fault=
		guests_destroy
		: >"$domains"
	done
	fault=
	while read -r result name; do
		number=$((number + 1))
		[ "$result" = 0 ] && echo "TAP ok $number - $name" || echo "TAP not ok $number - $name"
	done <"$verdicts"
	return $status
}
scenes_end() {
	echo "TAP # $repeats repeats because guests ended by the emulation"
	echo "TAP 1..$number"
}
