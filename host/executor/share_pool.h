/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory pools for other processes of the tenant: those of the guest process's own that may be exported, and those that
 * it has imported. A pool's descriptor and the driver's words on an allocation from it lie with the mediator, like
 * other handles (share.h). Main thread.
 */
#ifndef EXECUTOR_SHARE_POOL_H
#define EXECUTOR_SHARE_POOL_H

#include <stdint.h>

#include "cuda_abi.h"
#include "share.h"

/* The allocation at 'address', which the account has, is from the pool 'id'. */
void shared_pool_note(struct executor *executor, uint32_t id, CUdeviceptr address);

/* Makes the wire id that the request waits for stand for the pool whose descriptor has come. */
CUresult shared_pool_open(struct executor *executor, const struct share_wait *wait,
			  const struct control_message *message, int32_t *ret_device);

/* Imports an allocation from the imported pool 'id': it counts for this process too, with the bytes that it has. */
CUresult shared_pool_open_pointer(struct executor *executor, uint32_t id, const struct vgpu_share_pointer *name,
				  uint64_t *ret_address);

#endif
