/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The process's connection to its executor and what was learned from it at
 * cuInit.  Everything but the channel and the windows is constant once 'status'
 * is SESSION_READY.
 *
 * fork().  The child has no executor: its session is SESSION_FORKED for good, and
 * every call but a few local ones is CUDA_ERROR_NOT_INITIALIZED, as with the real
 * driver.  The parent's channel is unmapped and closed in the child.
 */
#ifndef VGPU_SESSION_H
#define VGPU_SESSION_H

#include "channel.h"
#include "window.h"

enum session_status {
	SESSION_NONE = 0,
	SESSION_READY,
	SESSION_FORKED,
};

#define SESSION_DEVICES_MAX 64

struct session {
	uint32_t status;
	uint32_t device_count;
	uint64_t features;	 /* VGPU_FEATURE_* of both sides */
	uint32_t driver_version; /* of the host: 13000 for 13.0 */
	bool is_launch_blocking; /* CUDA_LAUNCH_BLOCKING: launches return when their kernels have ended */
	struct vgpu_snapshot_reply *devices;
	struct channel *channel;
	struct upload_window upload;
	struct download_window download;
};

extern struct session session;

/* Can program and device share memory of the host, at one address? */
static inline bool session_shares_memory(void)
{
	return session.features & (VGPU_FEATURE_HOST_MAP | VGPU_FEATURE_HOST_AREA);
}

static inline bool session_ready(void)
{
	return __builtin_expect(__atomic_load_n(&session.status, __ATOMIC_ACQUIRE) == SESSION_READY, 1);
}

/*
 * Opens the session if there is none. The result that cuInit gives, the same at each call once it has
 * succeeded; after a failure the next call tries again.
 */
CUresult session_open(void);

#endif
