/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include <stdlib.h>

#include "channel.h"
#include "executor_process.h"
#include "mediator.h"
#include "share_table.h"
#include "tenant_use.h"

void shares_forget(struct channel *channel)
{
	free(channel->shares);
	channel->shares = NULL;
}

static bool publish(struct channel *channel, const struct vgpu_control_share *question,
		    struct vgpu_control_share *ret_reply)
{
	if (!channel->shares)
		channel->shares = share_table_create();
	return channel->shares && share_table_publish(channel->shares, question, ret_reply);
}

static bool query(const struct channel *asking, const struct vgpu_control_share *question,
		  struct vgpu_control_share *ret_reply)
{
	const struct channel *channel;

	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		if (!share_table_has(channel->shares, question))
			continue;
		return tenant_is_same(asking, channel) && channel->request.tenant == asking->request.tenant &&
		       share_table_find(channel->shares, question, ret_reply);
	}
	return false;
}

void share_answer(struct channel *channel, uint32_t type, const struct vgpu_control_share *question)
{
	struct control_message message = {.share = {.serial = question->serial, .kind = question->kind}};

	message.share.is_granted = type == VGPU_CONTROL_SHARE_PUBLISH ? publish(channel, question, &message.share)
								      : query(channel, question, &message.share);
	executor_process_send(channel->executor, VGPU_CONTROL_SHARE_REPLY, &message);
}
