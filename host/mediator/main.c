/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mediator daemon: starts its parts, turns the loop, ends them.
 */
#include <errno.h>
#include <event2/event.h>
#include <pwd.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adoption.h"
#include "admin_socket.h"
#include "channel.h"
#include "cleaner.h"
#include "closer.h"
#include "configuration_check.h"
#include "discovery.h"
#include "executor_group.h"
#include "gpu_events.h"
#include "listener.h"
#include "log.h"
#include "mediator.h"
#include "metrics_http.h"
#include "probe.h"
#include "process.h"
#include "recorder.h"
#include "scheduler.h"
#include "sensors.h"
#include "service_ready.h"
#include "session.h"
#include "silence.h"
#include "starter.h"
#include "state.h"
#include "store.h"
#include "tenant.h"
#include "worker_watch.h"

#define JOBS_USER_USUAL	   "vgpu-jobs"
#define EXIT_SOCKET_IN_USE 3
#define GROUP_LEAF	   "mediator" /* where this process is, of its control group */
#define DATABASE_DIRECTORY "/var/lib/vgpu"
#define DATABASE_PATH	   DATABASE_DIRECTORY "/vgpu.db"
#define IMPORT_PATH	   "/etc/vgpu/vgpu_config.db"

#define STOP_POLL_MICROSECONDS 10000
#define STOP_EXTRA_SECONDS     3 /* beyond the time that executors are given */

/* For each connection socket and memory, for each executor control, log, process, permit, wake, bell, counters, tenant.
 */
#define DESCRIPTORS_PER_CONNECTION 10
#define DESCRIPTORS_OTHER	   128

struct daemon {
	struct mediator mediator;
	struct configuration_source *source;
	struct event *signals[6];
	struct event *heartbeat;
	struct event *stop_poll;
	unsigned stop_polls_left;
};

/*
 * A mediator with sockets of its own, or of an ordinary user, is not the host's: without a path it has a database for
 * its lifetime only. 0, or -1 with a line in the log.
 */
static int store_start(struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	const char *path = configuration->database;
	const char *import = configuration->database_import;
	char text[STORE_TEXT_BYTES * 2];

	if (!path && configuration->sockets.count == 0 && geteuid() == 0) {
		path = DATABASE_PATH;
		if (mkdir(DATABASE_DIRECTORY, 0750) < 0 && errno != EEXIST)
			log_warning("[STORE] " DATABASE_DIRECTORY ": %s", strerror(errno));
	}
	if (!import && path)
		import = IMPORT_PATH;
	if (!path)
		path = ":memory:";
	mediator->store = store_open(path, import, text, sizeof(text));
	if (!mediator->store) {
		log_error("[STORE] %s %s", path, text);
		return -1;
	}
	if (store_imported(mediator->store) >= 0)
		log_info("[STORE] %s is new: %d VMs were taken over from the earlier database", path,
			 store_imported(mediator->store));
	return 0;
}

static bool texts_differ(const char *one, const char *other)
{
	return strcmp(one ? one : "", other ? other : "") != 0;
}

static void device_users_find(struct mediator *mediator, const struct configuration *configuration)
{
	mediator->device_user_count = 0;
	for (size_t i = 0; i < configuration->device_users.count; i++) {
		const char *name = configuration->device_users.values[i];
		const struct passwd *entry = getpwnam(name);

		/* No reason not to start: the package of a hypervisor may be installed later. */
		if (entry)
			mediator->device_users[mediator->device_user_count++] = entry->pw_uid;
		else
			log_warning("device-user: there is no user \"%s\"", name);
	}
}

static void jobs_user_find(struct mediator *mediator, const struct configuration *configuration)
{
	const struct passwd *entry = getpwnam(configuration->jobs_user ? configuration->jobs_user : JOBS_USER_USUAL);

	mediator->jobs_user = entry ? entry->pw_uid : 0;
	if (!entry && configuration->jobs_user)
		log_warning("jobs-user: there is no user \"%s\"", configuration->jobs_user);
}

/* For lines of the log. */
static char pool_find(void *owner, bool is_vm, uint32_t id)
{
	const struct mediator *mediator = owner;
	char name[STORE_KEY_BYTES];
	const struct tenant *tenant;

	snprintf(name, sizeof(name), "%s:%u", is_vm ? "vm" : "user", id);
	tenant = tenant_find(mediator, name);
	return tenant ? (char)tenant_pool(tenant) : '\0';
}

/* Takes over what can change while the daemon runs. 0, or -1 with a line in the log. */
static int configuration_apply(struct mediator *mediator, const struct configuration *configuration)
{
	enum log_level level = LOG_LEVEL_INFO;
	struct process_identity identity;

	if (configuration_check(configuration) < 0)
		return -1;
	log_json_set(configuration->log_format && strcmp(configuration->log_format, "json") == 0);
	/* Its form was checked when it was read. */
	if (configuration->log_level)
		(void)log_level_parse(configuration->log_level, &level);
	if (process_identity_find(configuration->executor_user, &identity) < 0) {
		log_error("executor-user: there is no user \"%s\"", configuration->executor_user);
		return -1;
	}
	if (geteuid() == 0 && !identity.change)
		log_warning("Executors run as root, for there is no user \"vgpu\": make one, or set executor-user");
	log_level_set(level);
	device_users_find(mediator, configuration);
	jobs_user_find(mediator, configuration);
	mediator->executor_identity = identity;
	mediator->executor_users.first = configuration->executor_users_first;
	mediator->executor_users.count = configuration->executor_users_count;
	return 0;
}

static int configuration_reload(struct mediator *mediator)
{
	const struct daemon *daemon = (const struct daemon *)mediator;
	struct configuration *current = &mediator->configuration;
	struct configuration loaded;
	bool probe_again;

	if (configuration_load(daemon->source, &loaded) < 0 || configuration_apply(mediator, &loaded) < 0) {
		log_error("The configuration stays as it was");
		return -1;
	}
	probe_again = texts_differ(current->driver, loaded.driver) ||
		      texts_differ(current->executor, loaded.executor) ||
		      current->allow_pageable_access != loaded.allow_pageable_access ||
		      texts_differ(current->executor_user, loaded.executor_user);
	configuration_clear(current);
	*current = loaded;
	tenant_caches_configure(mediator);
	/* With another range of users others are to have no folder. */
	tenant_caches_clean(mediator);
	tenants_settings_apply(mediator);
	if (probe_again)
		probe_restart(mediator->probe);
	worker_watches_apply(mediator);
	log_info("The configuration was read again");
	return 0;
}

_Static_assert(offsetof(struct daemon, mediator) == 0, "configuration_reload() casts");

static void heartbeat_schedule(struct daemon *daemon)
{
	struct timeval interval = {.tv_sec = daemon->mediator.configuration.heartbeat_seconds};

	event_add(daemon->heartbeat, &interval);
}

static void heartbeat(evutil_socket_t none, short what, void *argument)
{
	struct daemon *daemon = argument;

	(void)none;
	(void)what;
	discovery_scan(daemon->mediator.discovery);
	listeners_check(daemon->mediator.listeners);
	admin_socket_check(daemon->mediator.admin_socket);
	metrics_http_check(daemon->mediator.metrics);
	usage_shares_take(&daemon->mediator);
	sensors_refresh(daemon->mediator.sensors);
	gpu_events_refresh(daemon->mediator.gpu_events);
	state_heartbeat_log(&daemon->mediator);
	heartbeat_schedule(daemon);
}

/* Everybody is told to end; the loop goes on until they have. */
static void stop_begin(struct daemon *daemon)
{
	struct mediator *mediator = &daemon->mediator;
	struct timeval now = {0};

	if (mediator->stopping)
		return;
	log_info("Stopping");
	mediator->stopping = true;
	event_del(daemon->heartbeat);
	listeners_close(mediator->listeners);
	mediator->listeners = NULL;
	admin_socket_close(mediator->admin_socket);
	mediator->admin_socket = NULL;
	metrics_http_close(mediator->metrics);
	mediator->metrics = NULL;
	sessions_end_all(mediator, "the mediator is stopping");
	daemon->stop_polls_left = (mediator->configuration.executor_stop_seconds + STOP_EXTRA_SECONDS) *
				  (1000000 / STOP_POLL_MICROSECONDS);
	event_add(daemon->stop_poll, &now);
}

static void stop_continue(evutil_socket_t none, short what, void *argument)
{
	struct daemon *daemon = argument;
	struct timeval again = {.tv_usec = STOP_POLL_MICROSECONDS};

	(void)none;
	(void)what;
	if (LIST_EMPTY(&daemon->mediator.channels) || daemon->stop_polls_left-- == 0)
		event_base_loopbreak(daemon->mediator.base);
	else
		event_add(daemon->stop_poll, &again);
}

static void signal_received(evutil_socket_t number, short what, void *argument)
{
	struct daemon *daemon = argument;

	(void)what;
	switch (number) {
	case SIGCHLD:
		processes_reap(&daemon->mediator);
		break;
	case SIGHUP:
		if (log_reopen() < 0)
			log_error("The log cannot be opened again: %s", strerror(errno));
		configuration_reload(&daemon->mediator);
		break;
	case SIGUSR1:
		state_log(&daemon->mediator);
		break;
	case SIGTERM:
		if (daemon->mediator.keeper >= 0) {
			/* What the keeper holds goes on; the next mediator adopts it. */
			log_info("Stopping; running programs are kept for %u s",
				 daemon->mediator.configuration.keep_seconds);
			event_base_loopbreak(daemon->mediator.base);
			break;
		}
		stop_begin(daemon);
		break;
	default:
		/* Later than the sessions' ends, which it hears of. */
		stop_begin(daemon);
	}
}

static void sweep(evutil_socket_t none, short what, void *argument)
{
	(void)none;
	(void)what;
	sessions_sweep(argument);
}

static void descriptors_limit_raise(const struct configuration *configuration)
{
	rlim_t wanted = (rlim_t)configuration->connections_max * DESCRIPTORS_PER_CONNECTION + DESCRIPTORS_OTHER;
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur < wanted)
		log_warning("Only %llu descriptors may be open: too few for %u connections",
			    (unsigned long long)limit.rlim_cur, configuration->connections_max);
}

/* NULL: out of memory. Executors' bells are not read but seen to change (scheduler_bell.c). */
static struct event_base *base_create(void)
{
	struct event_config *configuration = event_config_new();
	struct event_base *base = NULL;

	if (configuration && event_config_require_features(configuration, EV_FEATURE_ET) == 0)
		base = event_base_new_with_config(configuration);
	if (configuration)
		event_config_free(configuration);
	return base;
}

static int events_create(struct daemon *daemon)
{
	static const int numbers[] = {SIGCHLD, SIGHUP, SIGUSR1, SIGTERM, SIGINT, SIGQUIT};
	struct mediator *mediator = &daemon->mediator;

	_Static_assert(sizeof(numbers) / sizeof(numbers[0]) == sizeof(daemon->signals) / sizeof(daemon->signals[0]),
		       "an event for each signal");
	mediator->base = base_create();
	if (!mediator->base)
		return -1;
	control_closing_set(closer_close);
	mediator->session_sweep = evtimer_new(mediator->base, sweep, mediator);
	daemon->heartbeat = evtimer_new(mediator->base, heartbeat, daemon);
	daemon->stop_poll = evtimer_new(mediator->base, stop_continue, daemon);
	if (!mediator->session_sweep || !daemon->heartbeat || !daemon->stop_poll)
		return -1;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		daemon->signals[i] = evsignal_new(mediator->base, numbers[i], signal_received, daemon);
		if (!daemon->signals[i] || event_add(daemon->signals[i], NULL) < 0)
			return -1;
	}
	return 0;
}

static void events_destroy(struct daemon *daemon)
{
	struct event *events[] = {daemon->mediator.session_sweep, daemon->heartbeat, daemon->stop_poll};

	for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++) {
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	}
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (events[i])
			event_free(events[i]);
	}
	if (daemon->mediator.base)
		event_base_free(daemon->mediator.base);
}

static int daemon_run(struct daemon *daemon)
{
	struct mediator *mediator = &daemon->mediator;
	enum listeners_result result;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	mediator->started = now.tv_sec;
	descriptors_limit_raise(&mediator->configuration);
	signal(SIGPIPE, SIG_IGN);
	if (starter_open() < 0) {
		log_error("No thread: %s", strerror(errno));
		return EXIT_FAILURE;
	}
	if (events_create(daemon) < 0 || !(mediator->probe = probe_create(mediator)) ||
	    !(mediator->discovery = discovery_create()) || !(mediator->cleaner = cleaner_create(mediator->base)) ||
	    !(mediator->silence = silence_create(mediator))) {
		log_error("Out of memory");
		return EXIT_FAILURE;
	}
	result = listeners_open(mediator, &mediator->listeners);
	if (result != LISTENERS_OPEN)
		return result == LISTENERS_IN_USE ? EXIT_SOCKET_IN_USE : EXIT_FAILURE;
	if (store_start(mediator) < 0)
		return EXIT_FAILURE;
	mediator->groups = executor_groups_open(mediator->configuration.executor_cgroup, GROUP_LEAF);
	adoption_begin(mediator);
	/* Now it is known whose executors are there. */
	executor_groups_clean(mediator->groups);
	tenant_caches_clean(mediator);
	mediator->admin_socket = admin_socket_open(mediator);
	mediator->metrics = metrics_http_open(mediator);
	/* Also where they cannot be asked for yet. */
	if (mediator->metrics) {
		mediator->sensors = sensors_create(mediator);
		mediator->gpu_events = gpu_events_create(mediator);
	}
	sensors_refresh(mediator->sensors);
	gpu_events_refresh(mediator->gpu_events);
	probe_restart(mediator->probe);
	worker_watches_apply(mediator);
	discovery_scan(mediator->discovery);
	heartbeat_schedule(daemon);
	service_ready_tell();
	if (event_base_dispatch(mediator->base) < 0) {
		log_error("The event loop failed");
		return EXIT_FAILURE;
	}
	if (mediator->stopping)
		adoption_quit(mediator);
	cleaner_destroy(mediator->cleaner);
	mediator->cleaner = NULL;
	sessions_sweep(mediator);
	counters_log(mediator);
	log_info("Stopped");
	return EXIT_SUCCESS;
}

/* For --check, with settings that could be read. The exit code. */
static int settings_check(const struct mediator *mediator)
{
	int result = configuration_check(&mediator->configuration);

	if (configuration_look(mediator) < 0 || result < 0)
		return CONFIGURATION_EXIT_CODE;
	log_info("The settings are right");
	return EXIT_SUCCESS;
}

int main(int argument_count, char **arguments)
{
	struct daemon daemon = {.mediator = {.keeper = -1, .reload = configuration_reload}};
	struct mediator *mediator = &daemon.mediator;
	int code = EXIT_FAILURE;

	log_open(NULL);
	daemon.source = configuration_source_create(argument_count, arguments);
	if (!daemon.source)
		goto done;
	code = CONFIGURATION_EXIT_CODE;
	if (configuration_load(daemon.source, &mediator->configuration) < 0)
		goto done;
	if (configuration_checks_only(daemon.source)) {
		code = settings_check(mediator);
		goto done;
	}
	if (mediator->configuration.log && log_open(mediator->configuration.log) < 0) {
		log_error("%s: %s", mediator->configuration.log, strerror(errno));
		/* Its file system may come yet. */
		code = EXIT_FAILURE;
		goto done;
	}
	log_pool_finder_set(pool_find, mediator);
	if (configuration_apply(mediator, &mediator->configuration) < 0)
		goto done;
	tenant_caches_configure(mediator);
	log_info("vgpu-cuda mediator " VGPU_VERSION ", pid %d", (int)getpid());
	code = daemon_run(&daemon);
	cleaner_destroy(mediator->cleaner);
	listeners_close(mediator->listeners);
	admin_socket_close(mediator->admin_socket);
	metrics_http_close(mediator->metrics);
	sensors_destroy(mediator->sensors);
	worker_watches_destroy(mediator);
	gpu_events_destroy(mediator->gpu_events);
	probe_destroy(mediator->probe);
	tenant_cache_removals_destroy(mediator);
	discovery_destroy(mediator->discovery);
	silence_destroy(mediator->silence);
	schedulers_destroy(mediator);
	tenants_destroy(mediator);
	recorder_destroy(mediator);
	executor_groups_close(mediator->groups);
	events_destroy(&daemon);
	store_close(mediator->store);
done:
	configuration_clear(&mediator->configuration);
	configuration_source_destroy(daemon.source);
	log_close();
	return code;
}
