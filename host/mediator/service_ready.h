/* SPDX-License-Identifier: Apache-2.0 */
/* What a daemon (mediator, vgpu-worker, vgpu-jobs) tells the manager of services that has started it. */
#ifndef MEDIATOR_SERVICE_READY_H
#define MEDIATOR_SERVICE_READY_H

/*
 * Says that it takes requests now, if somebody wants to know (sd_notify(3), NOTIFY_SOCKET), once: processes that are
 * started later do not find the socket in their environment. Never waits. While no other thread looks at the
 * environment.
 */
void service_ready_tell(void);

#endif
