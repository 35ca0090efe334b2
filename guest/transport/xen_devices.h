/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's devices for a guest of Xen: /dev/xen/gntalloc and /dev/xen/evtchn (Linux include/uapi/xen/gntalloc.h and
 * evtchn.h, of which the second does not compile without Xen's own headers). The names are Linux's.
 */
#ifndef VGPU_XEN_DEVICES_H
#define VGPU_XEN_DEVICES_H

#include <xen/gntalloc.h>
#include <stdint.h>
#include <sys/ioctl.h>

struct evtchn_bind_unbound_port {
	unsigned int remote_domain;
};
#define EVTCHN_BIND_UNBOUND_PORT _IOC(_IOC_NONE, 'E', 2, sizeof(struct evtchn_bind_unbound_port))

struct evtchn_notify {
	unsigned int port;
};
#define EVTCHN_NOTIFY _IOC(_IOC_NONE, 'E', 4, sizeof(struct evtchn_notify))

#endif
