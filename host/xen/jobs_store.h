/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of a guest's job in XenStore (vgpu_xenstore.h), as the host sees them: what a guest wrote is checked
 * here. The functions wait for xenstored, and for nobody else. Failures are for the guest or mean that it is gone.
 */
#ifndef XEN_JOBS_STORE_H
#define XEN_JOBS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct xs_handle;

/* Whether the guest has a place of its own to write to; then it is told that jobs are taken. */
bool jobs_store_offer(struct xs_handle *store, unsigned int domain);

/* Watches what the guest submits; the token is the domain's number. */
bool jobs_store_watch(struct xs_handle *store, unsigned int domain);
void jobs_store_unwatch(struct xs_handle *store, unsigned int domain);

/*
 * The request that was submitted, with a newline at its end; to be freed. NULL: there is none, or *ret_problem says
 * what is wrong with it. *ret_number is the guest's number of it, unless there is none.
 */
char *jobs_store_request(struct xs_handle *store, unsigned int domain, uint32_t *ret_number, size_t *ret_bytes,
			 const char **ret_problem);

/* False: it cannot be written, or is longer than VGPU_XENSTORE_BYTES_MAX. */
bool jobs_store_answer(struct xs_handle *store, unsigned int domain, uint32_t number, const char *answer, size_t bytes);

#endif
