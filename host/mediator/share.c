/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "channel.h"
#include "executor_process.h"
#include "mediator.h"
#include "tenant_use.h"

/* Of one executor; the oldest make room, for nobody says when a handle is of no use any more. */
#define SHARES_MAX 4096

struct share {
	TAILQ_ENTRY(share) link;
	uint32_t kind;
	uint8_t token[VGPU_SHARE_TOKEN_BYTES];
	uint8_t handle[VGPU_SHARE_HANDLE_BYTES];
};

static void share_drop(struct channel *channel, struct share *share)
{
	TAILQ_REMOVE(&channel->shares, share, link);
	channel->share_count--;
	free(share);
}

void shares_forget(struct channel *channel)
{
	struct share *share = TAILQ_FIRST(&channel->shares);

	while (share) {
		struct share *next = TAILQ_NEXT(share, link);

		free(share);
		share = next;
	}
	TAILQ_INIT(&channel->shares);
	channel->share_count = 0;
}

/* The same handle keeps its token. */
static struct share *handle_find(const struct channel *channel, const struct vgpu_control_share *question)
{
	struct share *share;

	TAILQ_FOREACH(share, &channel->shares, link)
	{
		if (share->kind == question->kind &&
		    memcmp(share->handle, question->handle, sizeof(share->handle)) == 0)
			return share;
	}
	return NULL;
}

static struct share *publish(struct channel *channel, const struct vgpu_control_share *question)
{
	struct share *share = handle_find(channel, question);

	if (share)
		return share;
	share = calloc(1, sizeof(*share));
	if (!share)
		return NULL;
	if (getrandom(share->token, sizeof(share->token), GRND_NONBLOCK) != (ssize_t)sizeof(share->token)) {
		free(share);
		return NULL;
	}
	share->kind = question->kind;
	memcpy(share->handle, question->handle, sizeof(share->handle));
	if (channel->share_count == SHARES_MAX)
		share_drop(channel, TAILQ_FIRST(&channel->shares));
	TAILQ_INSERT_TAIL(&channel->shares, share, link);
	channel->share_count++;
	return share;
}

static const struct share *token_find(const struct channel *asking, const struct vgpu_control_share *question)
{
	const struct channel *channel;

	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		const struct share *share;

		if (!tenant_is_same(asking, channel) || channel->request.tenant != asking->request.tenant)
			continue;
		TAILQ_FOREACH(share, &channel->shares, link)
		{
			if (share->kind == question->kind &&
			    memcmp(share->token, question->token, sizeof(share->token)) == 0)
				return share;
		}
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
		memcpy(message.share.token, share->token, sizeof(share->token));
		memcpy(message.share.handle, share->handle, sizeof(share->handle));
	}
	executor_process_send(channel->executor, VGPU_CONTROL_SHARE_REPLY, &message);
}
