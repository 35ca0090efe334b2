/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mediator's parts share.  One thread runs one libevent loop; every
 * function of this folder is called on it, and none blocks. (The cleaner's threads are its own affair.)
 *
 * Who owns what: a session (a connection) owns its channels, a channel owns its
 * executor process.  A session lives on after its connection ended until its
 * last channel is closed, that is until the executor was reaped and the
 * channel's memory zeroed.
 */
#ifndef MEDIATOR_H
#define MEDIATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include "configuration.h"
#include "counters.h"
#include "gpu_hangs.h"
#include "process.h"
#include "starts.h"
#include "tenant.h"
#include "tenant_cache.h"
#include "user_range.h"
#include "worker.h"

struct admin_socket;
struct event;
struct event_base;
struct channel;
struct cleaner;
struct discovery;
struct executor_groups;
struct listeners;
struct metrics_http;
struct probe;
struct scheduler;
struct gpu_events;
struct recorder;
struct sensors;
struct session;
struct silence;
struct store;

LIST_HEAD(session_list, session);
LIST_HEAD(channel_list, channel);
LIST_HEAD(process_list, process);
LIST_HEAD(scheduler_list, scheduler);
LIST_HEAD(worker_watch_list, worker_watch);

struct mediator {
	struct event_base *base;
	struct configuration configuration;
	struct store *store;
	struct listeners *listeners;
	struct admin_socket *admin_socket;
	struct metrics_http *metrics;
	struct sensors *sensors;       /* NULL: nobody asks for metrics */
	struct gpu_events *gpu_events; /* the same */
	struct probe *probe;
	struct discovery *discovery;
	struct session_list sessions; /* also those whose connection has ended */
	struct event *session_sweep;  /* frees sessions that are over, outside their own handlers */
	struct channel_list channels;
	struct cleaner *cleaner; /* NULL: the loop has ended */
	struct silence *silence;
	struct gpu_hangs gpu_hangs;
	struct process_list processes;
	struct tenant_list tenants;
	struct scheduler_list schedulers;
	struct recorder *recorder; /* NULL: nobody records */
	bool groups_may_part;	   /* a process that used several GPUs has ended */
	struct process_identity executor_identity;
	struct user_range executor_users;
	struct executor_groups *groups; /* NULL: none (executor_group.h) */
	struct compute_cache compute_cache;
	struct tenant_cache_removal_list tenant_cache_removals;
	uid_t device_users[CONFIGURATION_LIST_COUNT]; /* configuration.device_users, looked up */
	size_t device_user_count;
	uid_t jobs_user; /* configuration.jobs_user; 0: none */
	struct counters counters;
	struct starts starts;
	uint64_t sessions_accepted;
	uint64_t sessions_refused;
	time_t started;				  /* CLOCK_MONOTONIC, seconds */
	int (*reload)(struct mediator *mediator); /* reads the configuration again; 0, or -1 with lines in the log */
	bool stopping;
	uint64_t channel_events; /* channels opened and closed */
	struct worker_failure worker_failures[WORKER_FAILURES_MAX];
	struct worker_watch_list worker_watches;
	int keeper; /* -1: none */
};

#endif
