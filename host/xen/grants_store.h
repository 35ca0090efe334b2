/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes of one guest in XenStore, as the host sees them (vgpu_xen_grants.h). The functions wait for xenstored,
 * and for nobody else. The domain's number is that of its path, so whatever is read there is the guest's own.
 */
#ifndef XEN_GRANTS_STORE_H
#define XEN_GRANTS_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "vgpu_xen_grants.h"

struct xs_handle;

struct grants_identity {
	char name[64];
	char uuid_text[40];
	uint8_t uuid[16]; /* zero: there is none */
};

/* False: there is no such domain. */
bool grants_store_identity(struct xs_handle *store, unsigned domain, struct grants_identity *ret_identity);

/* Watches what the guest asks for. */
bool grants_store_watch(struct xs_handle *store, unsigned domain);

/* Removes what is left of earlier offers, and offers. False: the guest has no place of its own. */
bool grants_store_offer(struct xs_handle *store, unsigned domain, const struct vgpu_grants_offer *offer);
void grants_store_withdraw(struct xs_handle *store, unsigned domain);

enum grants_store_status { GRANTS_STORE_NONE, GRANTS_STORE_BROKEN, GRANTS_STORE_REQUEST };
enum grants_store_status grants_store_request(struct xs_handle *store, unsigned domain, uint32_t port,
					      struct vgpu_grants_request *ret_request);

void grants_store_answer(struct xs_handle *store, unsigned domain, uint32_t port,
			 const struct vgpu_grants_answer *answer);

/* Removes the port's nodes, unless they are of another request by now. True: they are. */
bool grants_store_forget(struct xs_handle *store, unsigned domain, uint32_t port, uint64_t nonce);

#endif
