/* SPDX-License-Identifier: Apache-2.0 */
#include "share_table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "vgpu_control.h"

/* Of one executor; the oldest make room, for nobody says when a handle is of no use any more. */
#define SHARES_MAX 4096

struct token {
	uint32_t table; /* its number */
	uint32_t place;
	uint64_t secret;
};
_Static_assert(sizeof(struct token) == VGPU_SHARE_TOKEN_BYTES, "a token is as long as it is said to be");

struct share {
	struct token token;
	uint32_t kind; /* 0: the place is free */
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

struct share_table {
	uint32_t number; /* that no other channel's have */
	uint32_t next;	 /* place */
	uint64_t hashes[SHARES_MAX];
	struct share places[SHARES_MAX];
};

struct share_table *share_table_create(void)
{
	static uint32_t last_number;
	struct share_table *table = calloc(1, sizeof(*table));

	if (table)
		table->number = ++last_number;
	return table;
}

/* FNV-1a; never 0. */
static uint64_t handle_hash(const struct vgpu_control_share *question)
{
	uint64_t hash = 14695981039346656037u ^ question->kind;

	for (size_t i = 0; i < sizeof(question->handle); i++)
		hash = (hash ^ question->handle[i]) * 1099511628211u;
	return hash ? hash : 1;
}

/* The same handle keeps its token. */
static const struct share *handle_find(const struct share_table *table, const struct vgpu_control_share *question,
				       uint64_t hash)
{
	for (uint32_t i = 0; i < SHARES_MAX && table->hashes[i]; i++) {
		const struct share *share = &table->places[i];

		if (table->hashes[i] == hash && share->kind == question->kind &&
		    memcmp(share->handle, question->handle, sizeof(share->handle)) == 0)
			return share;
	}
	return NULL;
}

static void reply_fill(const struct share *share, struct vgpu_control_share *reply)
{
	memcpy(reply->token, &share->token, sizeof(share->token));
	memcpy(reply->handle, share->handle, sizeof(share->handle));
}

bool share_table_publish(struct share_table *table, const struct vgpu_control_share *question,
			 struct vgpu_control_share *ret_reply)
{
	uint64_t hash = handle_hash(question);
	struct share share = {.kind = question->kind};
	const struct share *found;

	if (question->kind != VGPU_SHARE_MEMORY && question->kind != VGPU_SHARE_EVENT)
		return false;
	found = handle_find(table, question, hash);
	if (found) {
		reply_fill(found, ret_reply);
		return true;
	}
	share.token.table = table->number;
	share.token.place = table->next;
	if (getrandom(&share.token.secret, sizeof(share.token.secret), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(share.token.secret))
		return false;
	memcpy(share.handle, question->handle, sizeof(share.handle));
	table->hashes[table->next] = hash;
	table->places[table->next] = share;
	table->next = (table->next + 1) % SHARES_MAX;
	reply_fill(&share, ret_reply);
	return true;
}

bool share_table_has(const struct share_table *table, const struct vgpu_control_share *question)
{
	struct token token;

	memcpy(&token, question->token, sizeof(token));
	return table && table->number == token.table;
}

bool share_table_find(const struct share_table *table, const struct vgpu_control_share *question,
		      struct vgpu_control_share *ret_reply)
{
	const struct share *share;
	struct token token;

	memcpy(&token, question->token, sizeof(token));
	if (token.table != table->number || token.place >= SHARES_MAX)
		return false;
	share = &table->places[token.place];
	if (!share->kind || share->kind != question->kind || share->token.secret != token.secret)
		return false;
	reply_fill(share, ret_reply);
	return true;
}
