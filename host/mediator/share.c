/* SPDX-License-Identifier: Apache-2.0 */
#include "share.h"

#include "channel.h"
#include "executor_process.h"
#include "mediator.h"
#include "share_table.h"
#include "tenant_use.h"

void shares_forget(struct channel *channel)
{
	share_table_destroy(channel->shares);
	channel->shares = NULL;
}

/* May the tenant have one more? */
static bool descriptors_admit(const struct channel *asking)
{
	const struct channel *channel;
	size_t of_tenant = 0, all = 0;

	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		uint32_t held = share_table_descriptors(channel->shares);

		all += held;
		if (channel->request.tenant == asking->request.tenant)
			of_tenant += held;
	}
	return share_descriptors_admit(of_tenant, all);
}

static bool publish(struct channel *channel, const struct control_message *question,
		    struct vgpu_control_share *ret_reply)
{
	bool has_room = vgpu_share_has_descriptor(question->share.kind) && descriptors_admit(channel);

	if (!channel->shares)
		channel->shares = share_table_create();
	return channel->shares && share_table_publish(channel->shares, question, has_room, ret_reply);
}

static bool query(const struct channel *asking, const struct vgpu_control_share *question,
		  struct control_message *reply)
{
	const struct channel *channel;

	LIST_FOREACH(channel, &asking->mediator->channels, link)
	{
		if (share_table_has(channel->shares, question))
			return tenant_is_same(asking, channel) && channel->request.tenant == asking->request.tenant &&
			       share_table_find(channel->shares, question, reply);
	}
	return false;
}

void share_answer(struct channel *channel, const struct control_message *question)
{
	struct control_message message = {.share = {.serial = question->share.serial, .kind = question->share.kind}};

	if (question->header.type == VGPU_CONTROL_SHARE_WITHDRAW) {
		share_table_withdraw(channel->shares, &question->share);
		return;
	}
	message.share.is_granted = question->header.type == VGPU_CONTROL_SHARE_QUERY
					   ? query(channel, &question->share, &message)
					   : publish(channel, question, &message.share);
	executor_process_send(channel->executor, VGPU_CONTROL_SHARE_REPLY, &message);
}
