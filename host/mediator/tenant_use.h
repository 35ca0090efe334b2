/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who shares a view of the GPU: a tenant is a VM, or the local programs of one user in one process
 * namespace (a container).  An executor that serves telemetry asks for the processes of its own tenant
 * that use a device; of others it learns nothing.
 */
#ifndef MEDIATOR_TENANT_USE_H
#define MEDIATOR_TENANT_USE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct channel;
struct vgpu_control_tenant_query;

/* Of a local program. 0: unknown, and then the program is a tenant of its own. */
uint64_t tenant_process_namespace(pid_t process);

/* Are the guest processes of the two channels of one tenant? */
bool tenant_is_same(const struct channel *one, const struct channel *other);

/* Sends the executor of 'channel' the answer. */
void tenant_reply(struct channel *channel, const struct vgpu_control_tenant_query *query);

#endif
