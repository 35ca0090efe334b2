#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by xl for a guest's network interface: gives dom0's end of it an address.
export PATH=/bin LD_LIBRARY_PATH=/lib
[ "$1" = online ] || exit 0
ip addr add 10.55.0.1/24 dev "$vif" && ip link set "$vif" up &&
	xenstore-write "$XENBUS_PATH/hotplug-status" connected
