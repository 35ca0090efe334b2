/* SPDX-License-Identifier: Apache-2.0 */
#include "room.h"

#include <string.h>

#include "client.h"

/* The list is in the order of the last jobs, or of arrival: the newest first. */

/* One of a VM, or, where it has no number, of an address. */
static bool group_has(const struct client *client, uint32_t vm_id, const char *name)
{
	if (client->may_idle)
		return false;
	return vm_id != JOBS_NO_VM ? client->vm_id == vm_id
				   : client->vm_id == JOBS_NO_VM && strcmp(client->name, name) == 0;
}

static unsigned group_count(const struct jobs *jobs, uint32_t vm_id, const char *name)
{
	const struct client *client;
	unsigned count = 0;

	LIST_FOREACH(client, &jobs->list, link)
	count += group_has(client, vm_id, name);
	return count;
}

static void group_count_set(const struct client *of)
{
	unsigned count = of->may_idle ? 0 : group_count(of->jobs, of->vm_id, of->name);
	struct client *client;

	LIST_FOREACH(client, &of->jobs->list, link)
	{
		if (group_has(client, of->vm_id, of->name))
			client->group_count = count;
	}
}

/* Nobody makes room for one whom the host knows less than himself; a VM's connections go after an address's. */
static bool may_displace(const struct client_plan *plan, const struct client *client)
{
	return !client->may_idle && (plan->is_known || !client->is_known);
}

static bool goes_before(const struct client *client, const struct client *other)
{
	if (client->is_known != other->is_known)
		return !client->is_known;
	return client->group_count >= other->group_count;
}

static struct client *victim_find(const struct jobs *jobs, const struct client_plan *plan, bool running)
{
	struct client *victim = NULL;
	struct client *client;

	LIST_FOREACH(client, &jobs->list, link)
	{
		if (client->is_running == running && may_displace(plan, client) &&
		    (!victim || goes_before(client, victim)))
			victim = client;
	}
	return victim;
}

/* All have jobs that run. One after the other loses its place when it has its answer, so that nobody has it for good.
 */
static void place_claim(const struct jobs *jobs, const struct client_plan *plan)
{
	struct client *client;

	LIST_FOREACH(client, &jobs->list, link)
	{
		if (client->is_running && client->ends_after_answer)
			return;
	}
	client = victim_find(jobs, plan, true);
	if (client)
		client->ends_after_answer = true;
}

bool room_find(struct jobs *jobs, const struct client_plan *plan, struct client **ret_victim)
{
	const struct client *client;
	unsigned unknown = 0;

	*ret_victim = NULL;
	if (!plan->may_idle && group_count(jobs, plan->vm_id, plan->name) >= jobs->clients_of_vm_max)
		return false;
	LIST_FOREACH(client, &jobs->list, link)
	unknown += !client->is_known;
	if (jobs->clients < jobs->clients_max &&
	    (plan->is_known || unknown < jobs->clients_max - jobs->clients_max / 4))
		return true;
	*ret_victim = victim_find(jobs, plan, false);
	if (!*ret_victim)
		place_claim(jobs, plan);
	return *ret_victim;
}

void room_enter(struct client *client)
{
	LIST_INSERT_HEAD(&client->jobs->list, client, link);
	client->jobs->clients++;
	group_count_set(client);
}

void room_leave(struct client *client)
{
	LIST_REMOVE(client, link);
	client->jobs->clients--;
	group_count_set(client);
}

void room_renew(struct client *client)
{
	LIST_REMOVE(client, link);
	LIST_INSERT_HEAD(&client->jobs->list, client, link);
}
