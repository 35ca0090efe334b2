/* SPDX-License-Identifier: Apache-2.0 */
#include "neighbours.h"

#include <errno.h>

#include "control_socket.h"
#include "share_table.h"

static bool are_neighbours(const struct connection *one, const struct connection *other)
{
	if (one == other)
		return true;
	return one->account && one->account == other->account && one->group.vm_id == other->group.vm_id &&
	       (one->group.vm_id ||
		(one->group.process_namespace && one->group.process_namespace == other->group.process_namespace));
}

/* May the tenant have one more? */
static bool descriptors_admit(const struct accounts *accounts, const struct connection *asking)
{
	const struct connection *connection;
	size_t of_tenant = 0, all = 0;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		uint32_t held = share_table_descriptors(connection->shares);

		all += held;
		if (connection->account == asking->account)
			of_tenant += held;
	}
	return share_descriptors_admit(of_tenant, all);
}

static bool publish(const struct accounts *accounts, struct connection *connection,
		    const struct control_message *question, struct vgpu_control_share *ret_reply)
{
	bool has_room = vgpu_share_has_descriptor(question->share.kind) && descriptors_admit(accounts, connection);

	if (!connection->shares)
		connection->shares = share_table_create();
	return connection->shares && share_table_publish(connection->shares, question, has_room, ret_reply);
}

static bool query(const struct accounts *accounts, const struct connection *asking,
		  const struct vgpu_control_share *question, struct control_message *reply)
{
	const struct connection *connection;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		/* One whose process is gone is not opened any more. */
		if (share_table_has(connection->shares, question))
			return connection->executor && are_neighbours(asking, connection) &&
			       share_table_find(connection->shares, question, reply);
	}
	return false;
}

/* What the connection's executor says of its guest process's use of the device; false: it does not use it. */
static bool use_read(const struct connection *connection, uint32_t pci_place,
		     struct vgpu_control_tenant_process *ret_process)
{
	const volatile struct vgpu_executor_counters *counters = connection->counters;

	if (!connection->executor || !counters)
		return false;
	for (unsigned i = 0; i < VGPU_COUNTED_DEVICES; i++) {
		if (counters->devices[i].contexts == 0 || counters->devices[i].pci_place != pci_place)
			continue;
		*ret_process = (struct vgpu_control_tenant_process){
			.executor_process = (uint32_t)connection->executor,
			.process_id = (uint32_t)counters->process_id,
			.memory_bytes = counters->devices[i].memory_bytes,
		};
		return true;
	}
	return false;
}

static void tenant_reply_fill(const struct accounts *accounts, const struct connection *asking,
			      const struct vgpu_control_tenant_query *query, struct vgpu_control_tenant_reply *reply)
{
	const struct connection *connection;

	reply->first = query->first;
	LIST_FOREACH(connection, &accounts->connections, link)
	{
		struct vgpu_control_tenant_process process;

		if (!are_neighbours(asking, connection) || !use_read(connection, query->pci_place, &process))
			continue;
		if (reply->total >= query->first && reply->count < VGPU_CONTROL_TENANT_PROCESSES_MAX)
			reply->processes[reply->count++] = process;
		reply->total++;
	}
}

/* False: it is no question. */
static bool question_answer(const struct accounts *accounts, struct connection *connection,
			    const struct control_message *question)
{
	struct control_message answer = {.fd_count = 0};
	enum vgpu_control_type type = VGPU_CONTROL_SHARE_REPLY;

	switch (question->header.type) {
	case VGPU_CONTROL_TENANT_QUERY:
		type = VGPU_CONTROL_TENANT_REPLY;
		tenant_reply_fill(accounts, connection, &question->tenant_query, &answer.tenant_reply);
		break;
	case VGPU_CONTROL_SHARE_PUBLISH:
	case VGPU_CONTROL_SHARE_QUERY:
		answer.share.serial = question->share.serial;
		answer.share.kind = question->share.kind;
		answer.share.is_granted = question->header.type == VGPU_CONTROL_SHARE_PUBLISH
						  ? publish(accounts, connection, question, &answer.share)
						  : query(accounts, connection, &question->share, &answer);
		break;
	case VGPU_CONTROL_SHARE_WITHDRAW:
		share_table_withdraw(connection->shares, &question->share);
		return true;
	default:
		return false;
	}
	/* One that does not read has asked in vain. */
	(void)control_send(connection->socket, type, &answer);
	return true;
}

bool neighbours_answer(const struct accounts *accounts, struct connection *connection)
{
	struct control_message question;
	int received = control_receive(connection->socket, &question);
	bool is_question;

	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (received <= 0)
		return false;
	is_question = question_answer(accounts, connection, &question);
	control_message_release(&question);
	return is_question;
}
