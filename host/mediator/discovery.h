/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looks for running QEMUs with a vgpu-cuda device, and for the processes that serve guests of Xen, by their command
 * lines: for operators, who see in the log which VMs the mediator can expect.  Nothing is decided by it.
 */
#ifndef MEDIATOR_DISCOVERY_H
#define MEDIATOR_DISCOVERY_H

#include <stdbool.h>
#include <stdint.h>

struct discovery;

/* NULL when out of memory. */
struct discovery *discovery_create(void);

/* Looks now, and writes to the log what it found the first time and when it has changed. */
void discovery_scan(struct discovery *discovery);

/* Writes what was found last to the log. */
void discovery_log(const struct discovery *discovery);

enum discovery_kind {
	DISCOVERY_QEMU,
	DISCOVERY_XEN,	      /* vgpu-xen, beside the guest's QEMU */
	DISCOVERY_XEN_GRANTS, /* vgpu-xen-grants */
};
const char *discovery_kind_name(enum discovery_kind kind);

/* A VM that has our device, or is offered channels. */
struct discovery_machine {
	enum discovery_kind kind;
	uint32_t domain; /* of Xen's */
	int pid;
	uint32_t vm_id;
	bool has_vm_id;
	char name[64];
};

/* What was found last, and how many. */
const struct discovery_machine *discovery_machines(const struct discovery *discovery, unsigned *ret_count);

/* NULL is fine. */
void discovery_destroy(struct discovery *discovery);

#endif
