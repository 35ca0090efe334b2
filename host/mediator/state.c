/* SPDX-License-Identifier: Apache-2.0 */
#include "state.h"

#include <time.h>

#include "channel.h"
#include "discovery.h"
#include "executor_process.h"
#include "log.h"
#include "mediator.h"
#include "probe.h"
#include "scheduler.h"
#include "session.h"

unsigned state_machines_count(const struct mediator *mediator)
{
	const struct session *session;
	unsigned count = 0;

	LIST_FOREACH(session, &mediator->sessions, link)
	count += session->kind == SESSION_DEVICE && session->socket >= 0;
	return count;
}

long state_uptime_seconds(const struct mediator *mediator)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (long)(now.tv_sec - mediator->started);
}

void state_heartbeat_log(const struct mediator *mediator)
{
	log_info("[HEARTBEAT] alive, up %ld s, %u VMs, %u connections, %u executors, %llu log lines lost",
		 state_uptime_seconds(mediator), state_machines_count(mediator), sessions_count(mediator),
		 channels_count(mediator), (unsigned long long)log_lost_count());
	counters_log(mediator);
}

static void channel_log(const struct channel *channel)
{
	struct vgpu_executor_counters values = counters_page_read(&channel->counters);

	log_info("[STATE]   channel %u %s executor=%d calls=%llu launches=%llu errors=%llu to_device=%llu "
		 "from_device=%llu memory=%llu pinned=%llu",
		 channel->request.index, channel_stage_name(channel->stage),
		 channel->executor ? (int)executor_process_pid(channel->executor) : 0, (unsigned long long)values.calls,
		 (unsigned long long)values.launches, (unsigned long long)values.errors,
		 (unsigned long long)values.bytes_to_device, (unsigned long long)values.bytes_from_device,
		 (unsigned long long)values.memory_bytes, (unsigned long long)values.pinned_bytes);
}

static void session_log(const struct session *session)
{
	static const char *const kinds[] = {
		[SESSION_NEW] = "unknown peer", [SESSION_DEVICE] = "VM", [SESSION_CLIENT] = "local program"};

	log_info("[STATE] %s vm_id=%u name=\"%s\" pool=%c pid=%d uid=%u channels=%u%s", kinds[session->kind],
		 session->vm_id, session->name, session_pool(session) ? (char)session_pool(session) : '-',
		 (int)session->peer.pid, (unsigned)session->peer.uid, session->channels_open,
		 session->socket < 0 ? " (ended, executors are going)" : "");
	for (unsigned i = 0; i < VGPU_CHANNELS_MAX; i++) {
		if (session->channels[i])
			channel_log(session->channels[i]);
	}
}

void state_log(const struct mediator *mediator)
{
	static const char *const probe_states[] = {
		[PROBE_RUNNING] = "being probed", [PROBE_READY] = "ready", [PROBE_FAILED] = "missing"};
	enum probe_state driver = probe_state(mediator->probe);
	const struct session *session;

	log_info("[STATE] up %ld s, %llu connections accepted, %llu refused, driver %s %s",
		 state_uptime_seconds(mediator), (unsigned long long)mediator->sessions_accepted,
		 (unsigned long long)mediator->sessions_refused, probe_states[driver],
		 driver == PROBE_FAILED ? probe_reason(mediator->probe) : probe_driver_library(mediator->probe));
	LIST_FOREACH(session, &mediator->sessions, link)
	session_log(session);
	schedulers_log(mediator);
	discovery_log(mediator->discovery);
	counters_log(mediator);
}
