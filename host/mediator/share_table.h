/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handles that one executor has published, and their tokens: used by the mediator, and by a worker's service for
 * the executors there. A token says where its handle is, for a guest may ask as often as it likes, and is random
 * besides. A handle of physical memory or of a pool is a descriptor, which is held until it is withdrawn.
 */
#ifndef MEDIATOR_SHARE_TABLE_H
#define MEDIATOR_SHARE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control_socket.h"

struct share_table;

/* That a tenant may have published. */
#define SHARE_DESCRIPTORS_MAX 1024u

/*
 * May a tenant that has 'of_tenant' descriptors published have one more, where all tenants have 'all'? The process
 * itself needs most of those that it may have open.
 */
bool share_descriptors_admit(size_t of_tenant, size_t all);

/* NULL: out of memory. */
struct share_table *share_table_create(void);
void share_table_destroy(struct share_table *table);

/* How many descriptors it holds; the table may be NULL here and below. */
uint32_t share_table_descriptors(const struct share_table *table);

/*
 * The reply to a SHARE_PUBLISH; the same handle keeps its token. 'has_room': one descriptor more may be held; the
 * message's own stays the caller's. False: no token can be given.
 */
bool share_table_publish(struct share_table *table, const struct control_message *message, bool has_room,
			 struct vgpu_control_share *ret_reply);
void share_table_withdraw(struct share_table *table, const struct vgpu_control_share *question);

/* Is the token that a SHARE_QUERY names one of this table's? */
bool share_table_has(const struct share_table *table, const struct vgpu_control_share *question);

/*
 * The reply to a SHARE_QUERY of this table; the reply's descriptor stays the table's. False: the token is not, or no
 * longer, that of a handle of this kind.
 */
bool share_table_find(const struct share_table *table, const struct vgpu_control_share *question,
		      struct control_message *reply);

#endif
