/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

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
	uint32_t kind; /* 0: the place is free */
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

struct shares {
	uint32_t number; /* that no other channel's have */
	uint32_t next;	 /* place */
	uint64_t hashes[SHARES_MAX];
	struct share places[SHARES_MAX];
};

void shares_forget(struct channel *channel)
{
	free(channel->shares);
	channel->shares = NULL;
}

static struct shares *shares_of(struct channel *channel)
{
	static uint32_t last_number;

	if (!channel->shares)
		channel->shares = calloc(1, sizeof(*channel->shares));
	if (channel->shares && !channel->shares->number)
		channel->shares->number = ++last_number;
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
static const struct share *handle_find(const struct shares *shares, const struct vgpu_control_share *question,
				       uint64_t hash)
{
	for (uint32_t i = 0; i < SHARES_MAX && shares->hashes[i]; i++) {
		const struct share *share = &shares->places[i];

		if (shares->hashes[i] == hash && share->kind == question->kind &&
		    memcmp(share->handle, question->handle, sizeof(share->handle)) == 0)
			return share;
	}
	return NULL;
}

static const struct share *publish(struct channel *channel, const struct vgpu_control_share *question)
{
	struct shares *shares = shares_of(channel);
	uint64_t hash = handle_hash(question);
	struct share share = {.kind = question->kind};
	const struct share *found;

	if (!shares || (question->kind != VGPU_SHARE_MEMORY && question->kind != VGPU_SHARE_EVENT))
		return NULL;
	found = handle_find(shares, question, hash);
	if (found)
		return found;
	share.token.shares = shares->number;
	share.token.place = shares->next;
	if (getrandom(&share.token.secret, sizeof(share.token.secret), GRND_NONBLOCK) !=
	    (ssize_t)sizeof(share.token.secret))
		return NULL;
	memcpy(share.handle, question->handle, sizeof(share.handle));
	shares->hashes[shares->next] = hash;
	shares->places[shares->next] = share;
	shares->next = (shares->next + 1) % SHARES_MAX;
	return &shares->places[share.token.place];
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

void share_answer(struct channel *channel, uint32_t type, const struct vgpu_control_share *question)
{
	struct control_message message = {.share = {.serial = question->serial, .kind = question->kind}};
	const struct share *share =
		type == VGPU_CONTROL_SHARE_PUBLISH ? publish(channel, question) : token_find(channel, question);

	if (share) {
		message.share.is_granted = 1;
		memcpy(message.share.token, &share->token, sizeof(share->token));
		memcpy(message.share.handle, share->handle, sizeof(share->handle));
	}
	executor_process_send(channel->executor, VGPU_CONTROL_SHARE_REPLY, &message);
}
