/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the guest is told at its start: HELLO, and everything about a device
 * that cannot change (SNAPSHOT), which is asked for once and kept.
 */
#ifndef EXECUTOR_SNAPSHOT_H
#define EXECUTOR_SNAPSHOT_H

#include "execute.h"

#define SNAPSHOT_DEVICES_MAX 64

struct snapshots {
	struct vgpu_snapshot_reply *devices[SNAPSHOT_DEVICES_MAX]; /* NULL: not asked for yet */
};

CUresult hello_execute(struct executor *executor, const struct request *request, struct reply *reply);
CUresult snapshot_execute(struct executor *executor, const struct request *request, struct reply *reply);

#endif
