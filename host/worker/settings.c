/* SPDX-License-Identifier: Apache-2.0 */
#include "settings.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "executors.h"
#include "lanes.h"
#include "link.h"
#include "log.h"
#include "number_option.h"

#define CONNECTIONS_MAX	     128
#define CREDENTIALS_USUAL    "/etc/vgpu/worker.pem"
#define LISTEN_USUAL	     "[::]:5555"
#define USERS_COUNT	     4096
#define USERS_COUNT_MAX	     65536
#define CACHE_MIB	     256
#define CACHE_MIB_MAX	     4095 /* what the driver takes */
#define OPTION_USER	     256
#define OPTION_USERS_FIRST   257
#define OPTION_USERS_COUNT   258
#define OPTION_CACHE	     259
#define OPTION_CACHE_MIB     260
#define OPTION_PAGEABLE	     261
#define OPTION_CHECK	     262
#define OPTION_SILENCE	     263
#define OPTION_GROUP	     264
#define OPTION_MEMORY_MIB    265
#define OPTION_TASKS	     266
#define OPTION_STUCK	     267
#define HOST_MEMORY_MIB_MOST 1073741824 /* 1 PiB */
#define HOST_TASKS_MOST	     4194304	/* processes of 64-bit Linux */
#define CONNECTIONS_MOST     65536
#define SILENCE_MS_LEAST     1500 /* both sides speak once a second */
#define SILENCE_MS_MOST	     600000
#define STOPPED_MS	     5000
#define STOPPED_MS_MOST	     3600000
#define STUCK_SECONDS	     120
#define STUCK_SECONDS_MOST   86400

struct parsing {
	struct settings settings;
	const char *executor_user;
	struct user_range users;
	const char *cache;
	unsigned cache_mib;
	const char *groups;
	struct executor_group_limits host;
};

static const struct argp_option options[] = {
	{"listen", 'l', "HOST:PORT", 0, "Where to listen (" LISTEN_USUAL ")", 0},
	{"credentials", 'c', "FILE", 0, "Certificate, key and authorities, or a pre-shared key (" CREDENTIALS_USUAL ")",
	 0},
	{"executor", 'e', "PATH", 0, "The cuda-executor program (beside this one)", 0},
	{"driver", 'd', "LIBRARY", 0, "CUDA driver library (libcuda.so.1)", 0},
	{"allow-pageable-access", OPTION_PAGEABLE, NULL, 0,
	 "Use GPUs whose kernels reach all memory of their process, with which they can take an executor over", 0},
	{"connections-max", 'm', "N", 0, "Guest processes at a time (128)", 0},
	{"lanes-max", 'n', "N", 0, "Further connections of a guest process for its bulk data (8, the most); 0: none",
	 0},
	{"silence-ms", 's', "MS", 0, "A peer that is silent for longer is gone (10000)", 0},
	{"executor-user", OPTION_USER, "USER", 0,
	 "Who reads what comes over the network, and runs executors, where this is root (vgpu)", 0},
	{"executor-users-first", OPTION_USERS_FIRST, "UID", 0,
	 "First of the users of which each tenant's executors get one; 0 (usual): all run as executor-user", 0},
	{"executor-users-count", OPTION_USERS_COUNT, "N", 0, "How many these are (4096)", 0},
	{"executor-silence", OPTION_SILENCE, "MS", 0,
	 "An executor that is stopped for longer (SIGSTOP, a debugger) is ended (5000); 0: none is", 0},
	{"executor-stuck", OPTION_STUCK, "SECONDS", 0,
	 "An executor that sleeps in the kernel for longer, so that no signal wakes it, is killed (120); 0: none is",
	 0},
	{"compute-cache", OPTION_CACHE, "DIRECTORY", 0,
	 "Where the driver keeps what it compiles, a folder for each tenant (nowhere)", 0},
	{"compute-cache-mib", OPTION_CACHE_MIB, "MIB", 0, "How much of it a tenant's folder has (256)", 0},
	{"executor-cgroup", OPTION_GROUP, "own|DIRECTORY", 0,
	 "Control group in which each tenant's executors have one of their own", 0},
	{"host-memory-mib", OPTION_MEMORY_MIB, "MIB", 0,
	 "How much of this machine's memory a tenant's executors have in theirs (half of it); 0: no limit", 0},
	{"host-tasks", OPTION_TASKS, "N", 0, "How many threads a tenant's executors have there (4096); 0: no limit", 0},
	{"check", OPTION_CHECK, NULL, 0, "Start nothing: say what is wrong with the options; exit code 2 if anything",
	 0},
	{0},
};

/* HOST:PORT, where HOST may be nothing. */
static const char *listen_parse(const struct argp_state *state, const char *text)
{
	const char *colon = strrchr(text, ':');

	if (!colon || colon[1] < '1' || colon[1] > '9' || colon[1 + strspn(colon + 1, "0123456789")] ||
	    strtoul(colon + 1, NULL, 10) > UINT16_MAX)
		argp_error(state, "--listen: \"%s\" is no HOST:PORT with a port from 1 to 65535", text);
	return text;
}

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct parsing *parsing = state->input;
	struct settings *settings = &parsing->settings;

	switch (key) {
	case 'l':
		settings->listen = listen_parse(state, argument);
		return 0;
	case 'c':
		settings->credentials = argument;
		return 0;
	case 'e':
		settings->executor = argument;
		return 0;
	case 'd':
		settings->driver = argument;
		return 0;
	case 'm':
		settings->connections_max =
			number_option_take(state, "--connections-max", argument, 1, CONNECTIONS_MOST);
		return 0;
	case 'n':
		settings->lanes_max = number_option_take(state, "--lanes-max", argument, 0, LANES_MAX);
		return 0;
	case 's':
		settings->silence_ms =
			number_option_take(state, "--silence-ms", argument, SILENCE_MS_LEAST, SILENCE_MS_MOST);
		return 0;
	case OPTION_PAGEABLE:
		settings->allow_pageable_access = true;
		return 0;
	case OPTION_USER:
		parsing->executor_user = argument;
		return 0;
	case OPTION_USERS_FIRST:
		parsing->users.first = number_option_take(state, "--executor-users-first", argument, 0, UINT_MAX);
		return 0;
	case OPTION_USERS_COUNT:
		parsing->users.count =
			number_option_take(state, "--executor-users-count", argument, 1, USERS_COUNT_MAX);
		return 0;
	case OPTION_SILENCE:
		settings->executor_limits.stopped_ms =
			number_option_take(state, "--executor-silence", argument, 0, STOPPED_MS_MOST);
		return 0;
	case OPTION_STUCK:
		settings->executor_limits.stuck_ms =
			number_option_take(state, "--executor-stuck", argument, 0, STUCK_SECONDS_MOST) * 1000;
		return 0;
	case OPTION_CACHE:
		parsing->cache = argument;
		return 0;
	case OPTION_CACHE_MIB:
		parsing->cache_mib = number_option_take(state, "--compute-cache-mib", argument, 1, CACHE_MIB_MAX);
		return 0;
	case OPTION_GROUP:
		parsing->groups = argument;
		return 0;
	case OPTION_MEMORY_MIB:
		parsing->host.memory_bytes =
			(uint64_t)number_option_take(state, "--host-memory-mib", argument, 0, HOST_MEMORY_MIB_MOST)
			<< 20;
		return 0;
	case OPTION_TASKS:
		parsing->host.tasks = number_option_take(state, "--host-tasks", argument, 0, HOST_TASKS_MOST);
		return 0;
	case OPTION_CHECK:
		settings->checks_only = true;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", argument);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Beside this program as installed, or as built. NULL: there is none. */
static char *executor_find(void)
{
	static const char *const places[] = {"cuda-executor", "../libexec/vgpu/cuda-executor",
					     "../executor/cuda-executor"};
	char self[4096];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	char *slash;

	if (length < 0)
		return NULL;
	self[length] = '\0';
	slash = strrchr(self, '/');
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		char *path;

		if (asprintf(&path, "%s/%s", self, places[i]) < 0)
			return NULL;
		if (access(path, X_OK) == 0)
			return path;
		free(path);
	}
	return NULL;
}

static int executors_find(const struct parsing *parsing, struct executors *executors)
{
	if (user_range_check(parsing->users.first, parsing->users.count) < 0 ||
	    compute_cache_check(parsing->cache) < 0 || executor_groups_check(parsing->groups) < 0)
		return -1;
	if (process_identity_find(parsing->executor_user, &executors->identity) < 0) {
		log_error("executor-user: there is no user \"%s\"", parsing->executor_user);
		return -1;
	}
	if (geteuid() == 0 && !executors->identity.change)
		log_warning("Executors run as root, for there is no user \"vgpu\": make one, or set --executor-user");
	executors->program = parsing->settings.executor;
	executors->users = parsing->users;
	executors->cache.users = &executors->users;
	executors->cache.path = parsing->cache;
	executors->cache.mib = parsing->cache_mib;
	executors->groups_setting = parsing->groups;
	executors->host = parsing->host;
	return 0;
}

int settings_read(int count, char **arguments, struct settings *ret_settings, struct executors *executors)
{
	static const struct argp parser = {
		.options = options,
		.parser = option_parse,
		.doc = "Runs the CUDA calls of channels that a mediator on another machine relays here.",
	};
	struct parsing parsing = {
		.settings =
			{
				.listen = LISTEN_USUAL,
				.credentials = CREDENTIALS_USUAL,
				.driver = "libcuda.so.1",
				.connections_max = CONNECTIONS_MAX,
				.lanes_max = LANES_MAX,
				.silence_ms = LINK_SILENCE_MS,
				.executor_limits = {.stopped_ms = STOPPED_MS, .stuck_ms = STUCK_SECONDS * 1000},
			},
		.users = {.count = USERS_COUNT},
		.cache_mib = CACHE_MIB,
		.host = executor_group_limits_default(),
	};

	argp_err_exit_status = SETTINGS_EXIT_WRONG;
	argp_program_version = "vgpu-worker " VGPU_VERSION;
	if (argp_parse(&parser, count, arguments, 0, NULL, &parsing))
		return -1;
	if (!parsing.settings.executor && !(parsing.settings.executor = executor_find())) {
		log_error("cuda-executor is not found");
		return -1;
	}
	if (executors_find(&parsing, executors) < 0)
		return -1;
	*ret_settings = parsing.settings;
	return 0;
}
