/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The handles that one executor has published, and their tokens: used by the mediator, and by a worker's service for
 * the executors there. A token says where its handle is, for a guest may ask as often as it likes, and is random
 * besides.
 */
#ifndef MEDIATOR_SHARE_TABLE_H
#define MEDIATOR_SHARE_TABLE_H

#include <stdbool.h>
#include <stdint.h>

struct share_table;
struct vgpu_control_share;

/* NULL: out of memory. free() it. */
struct share_table *share_table_create(void);

/* The reply to a SHARE_PUBLISH; the same handle keeps its token. False: none can be given. */
bool share_table_publish(struct share_table *table, const struct vgpu_control_share *question,
			 struct vgpu_control_share *ret_reply);

/* Is the token that a SHARE_QUERY names one of this table's? The table may be NULL. */
bool share_table_has(const struct share_table *table, const struct vgpu_control_share *question);

/* The reply to a SHARE_QUERY. False: the token is not, or no longer, that of a handle of this kind. */
bool share_table_find(const struct share_table *table, const struct vgpu_control_share *question,
		      struct vgpu_control_share *ret_reply);

#endif
