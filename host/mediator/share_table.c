/* SPDX-License-Identifier: Apache-2.0 */
#include "share_table.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "control_socket.h"

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
	uint32_t kind;	/* 0: the place is free */
	int descriptor; /* of a kind that has one */
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

struct share_table {
	uint32_t number; /* that no other table has */
	uint32_t next;	 /* place */
	uint32_t spare;	 /* place that was withdrawn last; SHARES_MAX: none */
	uint32_t descriptor_count;
	uint64_t hashes[SHARES_MAX];
	struct share places[SHARES_MAX];
};

static void share_clear(struct share_table *table, struct share *share)
{
	if (vgpu_share_has_descriptor(share->kind)) {
		control_descriptor_close(share->descriptor);
		table->descriptor_count--;
	}
	share->kind = 0;
}

bool share_descriptors_admit(size_t of_tenant, size_t all)
{
	struct rlimit limit;

	return of_tenant < SHARE_DESCRIPTORS_MAX && getrlimit(RLIMIT_NOFILE, &limit) == 0 && all < limit.rlim_cur / 4;
}

struct share_table *share_table_create(void)
{
	static uint32_t last_number;
	struct share_table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->number = ++last_number;
	table->spare = SHARES_MAX;
	return table;
}

void share_table_destroy(struct share_table *table)
{
	for (uint32_t i = 0; table && i < SHARES_MAX; i++)
		share_clear(table, &table->places[i]);
	free(table);
}

uint32_t share_table_descriptors(const struct share_table *table)
{
	return table ? table->descriptor_count : 0;
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
static struct share *handle_find(struct share_table *table, const struct vgpu_control_share *question, uint64_t hash)
{
	for (uint32_t i = 0; i < SHARES_MAX && table->hashes[i]; i++) {
		struct share *share = &table->places[i];

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

static bool descriptor_take(const struct control_message *question, bool has_room, struct share *share)
{
	if (!vgpu_share_has_descriptor(question->share.kind))
		return question->fd_count == 0;
	if (question->fd_count != 1 || !has_room)
		return false;
	share->descriptor = fcntl(question->fds[0], F_DUPFD_CLOEXEC, 0);
	return share->descriptor >= 0;
}

bool share_table_publish(struct share_table *table, const struct control_message *message, bool has_room,
			 struct vgpu_control_share *ret_reply)
{
	const struct vgpu_control_share *question = &message->share;
	uint64_t hash = handle_hash(question);
	struct share share = {.kind = question->kind};
	const struct share *found;

	if (question->kind < VGPU_SHARE_MEMORY || question->kind > VGPU_SHARE_POINTER)
		return false;
	found = handle_find(table, question, hash);
	if (found) {
		reply_fill(found, ret_reply);
		return true;
	}
	share.token.table = table->number;
	share.token.place = table->spare < SHARES_MAX ? table->spare : table->next;
	if (getrandom(&share.token.secret, sizeof(share.token.secret), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(share.token.secret))
		return false;
	if (!descriptor_take(message, has_room, &share))
		return false;
	memcpy(share.handle, question->handle, sizeof(share.handle));
	share_clear(table, &table->places[share.token.place]);
	if (vgpu_share_has_descriptor(share.kind))
		table->descriptor_count++;
	table->hashes[share.token.place] = hash;
	table->places[share.token.place] = share;
	if (share.token.place == table->next)
		table->next = (table->next + 1) % SHARES_MAX;
	table->spare = SHARES_MAX;
	reply_fill(&share, ret_reply);
	return true;
}

void share_table_withdraw(struct share_table *table, const struct vgpu_control_share *question)
{
	struct share *share = table ? handle_find(table, question, handle_hash(question)) : NULL;

	if (!share)
		return;
	share_clear(table, share);
	table->spare = (uint32_t)(share - table->places);
}

bool share_table_has(const struct share_table *table, const struct vgpu_control_share *question)
{
	struct token token;

	memcpy(&token, question->token, sizeof(token));
	return table && table->number == token.table;
}

bool share_table_find(const struct share_table *table, const struct vgpu_control_share *question,
		      struct control_message *reply)
{
	const struct share *share;
	struct token token;

	memcpy(&token, question->token, sizeof(token));
	if (token.table != table->number || token.place >= SHARES_MAX)
		return false;
	share = &table->places[token.place];
	if (!share->kind || share->kind != question->kind || share->token.secret != token.secret)
		return false;
	reply_fill(share, &reply->share);
	if (vgpu_share_has_descriptor(share->kind))
		reply->fds[reply->fd_count++] = share->descriptor;
	return true;
}
