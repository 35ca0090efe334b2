/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs of a guest of Xen, over XenStore (vgpu_xenstore.h). For vgpu_job.c alone. */
#ifndef JOB_XENSTORE_H
#define JOB_XENSTORE_H

/* The rest of the library is for its users. */
#pragma GCC visibility push(hidden)

struct job_xenstore;

/*
 * NULL with errno: ENOSYS without libxenstore, ENODEV without XenStore, ECONNREFUSED when the host takes no jobs.
 * Another process that has it open is waited for.
 */
struct job_xenstore *job_xenstore_open(void);

/* As vgpu_job_call. EMSGSIZE: the request is longer than VGPU_XENSTORE_BYTES_MAX. */
int job_xenstore_call(struct job_xenstore *store, const char *request, char **ret_answer);

/* NULL is allowed. */
void job_xenstore_close(struct job_xenstore *store);

#pragma GCC visibility pop

#endif
