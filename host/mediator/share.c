/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <unistd.h>

#include "channel.h"
#include "executor_process.h"
#include "mediator.h"
#include "tenant_use.h"

/* Of one executor; the oldest make room, for nobody says when a handle is of no use any more. */
#define SHARES_MAX 4096

struct token {
	uint32_t shares; /* number of the channel's */
	uint32_t place;
	uint64_t secret;
};
_Static_assert(sizeof(struct token) == VGPU_SHARE_TOKEN_BYTES, "a token is as long as it is said to be");

struct share {
	struct token token;
	uint32_t kind;	/* 0: the place is free */
	int descriptor; /* of an allocation */
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

struct shares {
	uint32_t number; /* that no other channel's have */
	uint32_t next;	 /* place */
	uint32_t spare;	 /* place that was withdrawn last; SHARES_MAX: none */
	uint32_t descriptor_count;
	uint64_t hashes[SHARES_MAX];
	struct share places[SHARES_MAX];
};

static void share_clear(struct shares *shares, struct share *share)
{
	if (share->kind == VGPU_SHARE_ALLOCATION) {
		close(share->descriptor);
		shares->descriptor_count--;
	}
	share->kind = 0;
}

void shares_forget(struct channel *channel)
{
	for (uint32_t i = 0; channel->shares && i < SHARES_MAX; i++)
		share_clear(channel->shares, &channel->shares->places[i]);
	free(channel->shares);
	channel->shares = NULL;
}

static struct shares *shares_of(struct channel *channel)
{
	static uint32_t last_number;

	if (!channel->shares)
		channel->shares = calloc(1, sizeof(*channel->shares));
	if (channel->shares && !channel->shares->number) {
		channel->shares->number = ++last_number;
		channel->shares->spare = SHARES_MAX;
	}
	return channel->shares;
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
static struct share *handle_find(struct shares *shares, const struct vgpu_control_share *question, uint64_t hash)
{
	for (uint32_t i = 0; i < SHARES_MAX && shares->hashes[i]; i++) {
		struct share *share = &shares->places[i];

		if (shares->hashes[i] == hash && share->kind == question->kind &&
		    memcmp(share->handle, question->handle, sizeof(share->handle)) == 0)
			return share;
	}
	return NULL;
}

/* May the tenant have one more? The mediator itself needs most of those that it may have. */
static bool descriptors_admit(const struct channel *asking)
{
	const struct channel *channel;
	struct rlimit limit;
	size_t of_tenant = 0, all = 0;

	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		if (!channel->shares)
			continue;
		all += channel->shares->descriptor_count;
		if (channel->request.tenant == asking->request.tenant)
			of_tenant += channel->shares->descriptor_count;
	}
	return of_tenant < SHARE_DESCRIPTORS_MAX && getrlimit(RLIMIT_NOFILE, &limit) == 0 && all < limit.rlim_cur / 4;
}

static bool descriptor_take(const struct channel *channel, const struct control_message *question, struct share *share)
{
	if (question->share.kind != VGPU_SHARE_ALLOCATION)
		return question->fd_count == 0;
	if (question->fd_count != 1 || !descriptors_admit(channel))
		return false;
	share->descriptor = fcntl(question->fds[0], F_DUPFD_CLOEXEC, 0);
	return share->descriptor >= 0;
}

static const struct share *publish(struct channel *channel, const struct control_message *message)
{
	const struct vgpu_control_share *question = &message->share;
	struct shares *shares = shares_of(channel);
	uint64_t hash = handle_hash(question);
	struct share share = {.kind = question->kind};
	const struct share *found;

	if (!shares || question->kind < VGPU_SHARE_MEMORY || question->kind > VGPU_SHARE_ALLOCATION)
		return NULL;
	found = handle_find(shares, question, hash);
	if (found)
		return found;
	share.token.shares = shares->number;
	share.token.place = shares->spare < SHARES_MAX ? shares->spare : shares->next;
	if (getrandom(&share.token.secret, sizeof(share.token.secret), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(share.token.secret))
		return NULL;
	if (!descriptor_take(channel, message, &share))
		return NULL;
	memcpy(share.handle, question->handle, sizeof(share.handle));
	share_clear(shares, &shares->places[share.token.place]);
	if (share.kind == VGPU_SHARE_ALLOCATION)
		shares->descriptor_count++;
	shares->hashes[share.token.place] = hash;
	shares->places[share.token.place] = share;
	if (share.token.place == shares->next)
		shares->next = (shares->next + 1) % SHARES_MAX;
	shares->spare = SHARES_MAX;
	return &shares->places[share.token.place];
}

static void withdraw(struct channel *channel, const struct vgpu_control_share *question)
{
	struct share *share;

	if (!channel->shares)
		return;
	share = handle_find(channel->shares, question, handle_hash(question));
	if (!share)
		return;
	share_clear(channel->shares, share);
	channel->shares->spare = (uint32_t)(share - channel->shares->places);
}

static const struct share *token_find(const struct channel *asking, const struct vgpu_control_share *question)
{
	const struct channel *channel;
	struct token token;

	memcpy(&token, question->token, sizeof(token));
	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		const struct share *share;

		if (!channel->shares || channel->shares->number != token.shares || token.place >= SHARES_MAX)
			continue;
		if (!tenant_is_same(asking, channel) || channel->request.tenant != asking->request.tenant)
			return NULL;
		share = &channel->shares->places[token.place];
		return share->kind == question->kind && share->kind && share->token.secret == token.secret ? share
													   : NULL;
	}
	return NULL;
}

void share_answer(struct channel *channel, const struct control_message *question)
{
	struct control_message message = {.share = {.serial = question->share.serial, .kind = question->share.kind}};
	bool is_query = question->header.type == VGPU_CONTROL_SHARE_QUERY;
	const struct share *share;

	if (question->header.type == VGPU_CONTROL_SHARE_WITHDRAW) {
		withdraw(channel, &question->share);
		return;
	}
	share = is_query ? token_find(channel, &question->share) : publish(channel, question);
	if (share) {
		message.share.is_granted = 1;
		memcpy(message.share.token, &share->token, sizeof(share->token));
		memcpy(message.share.handle, share->handle, sizeof(share->handle));
		if (is_query && share->kind == VGPU_SHARE_ALLOCATION)
			message.fds[message.fd_count++] = share->descriptor;
	}
	executor_process_send(channel->executor, VGPU_CONTROL_SHARE_REPLY, &message);
}
