/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends jobs (docs/operations.md, "Jobs") from a VM and waits for their answers.
 * One thread uses a connection.
 */
#ifndef VGPU_JOB_H
#define VGPU_JOB_H

#include <stddef.h>

#define VGPU_JOB_PORT "/dev/virtio-ports/vgpu.job"

struct vgpu_job_connection;

/*
 * Where: a character device or file, "unix:PATH", "vsock:CID:PORT",
 * "HOST:PORT", or "xenstore" in a guest of Xen, where a request and an answer have at most 64 KiB;
 * NULL: the environment variable VGPU_JOBS, else VGPU_JOB_PORT, a virtio-serial port.
 * NULL with errno.
 */
struct vgpu_job_connection *vgpu_job_connect(const char *where);

/*
 * Sends a request, a JSON object, and waits for its answer, a line of JSON that *ret_answer gets: to be
 * freed. 0, or -1 with errno (EPIPE: the connection has ended, EMSGSIZE: it is too long for XenStore).
 */
int vgpu_job_call(struct vgpu_job_connection *connection, const char *request, char **ret_answer);

void vgpu_job_close(struct vgpu_job_connection *connection);

#endif
