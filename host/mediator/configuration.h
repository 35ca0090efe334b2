/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mediator's settings: built-in values, then the configuration file, then
 * the command line, each over the one before.  Every setting has the same name
 * in the file ("name = value") and on the command line ("--name=value");
 * packaging/mediator.conf describes them.
 */
#ifndef MEDIATOR_CONFIGURATION_H
#define MEDIATOR_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>

#define CONFIGURATION_PATH	 "/etc/vgpu/mediator.conf"
#define CONFIGURATION_LIST_COUNT 32
#define CONFIGURATION_EXIT_CODE	 2 /* of a daemon whose settings or options are wrong */

/* Values of a setting that may be given more than once. */
struct configuration_list {
	char *values[CONFIGURATION_LIST_COUNT];
	size_t count;
};

struct configuration {
	struct configuration_list sockets; /* empty: the usual places */
	unsigned socket_mode;		   /* 0: 0660, and 0666 for the fallback and Xen sockets */
	char *socket_group;
	char *xen_directory;
	struct configuration_list device_users; /* who else may be a VM on a socket that all may use */
	char *jobs_user;			/* NULL: the usual one, if it is there */
	bool vm_id_automatic;			/* a device with vm_id 0 is given an identity, not refused */
	char *driver;				/* NULL: NVIDIA's, else softgpu */
	bool allow_pageable_access;
	char *executor; /* NULL: beside the mediator */
	char *executor_user;
	unsigned executor_users_first; /* 0: all executors run as executor_user */
	unsigned executor_users_count;
	struct configuration_list executor_environment; /* names of variables that executors inherit */
	char *executor_cgroup;				/* NULL: executors are in no group of their own */
	char *compute_cache;				/* NULL: executors have none */
	unsigned compute_cache_mib;			/* of each tenant */
	struct configuration_list workers;		/* "POOL=HOST:PORT" */
	char *worker_credentials;			/* NULL: the usual place */
	char *relay;					/* NULL: beside the mediator */
	unsigned worker_silence_ms;
	bool worker_pack;
	unsigned worker_lanes; /* more than a relay can have: as it sees fit */
	char *log;	       /* NULL: standard error */
	char *log_level;
	char *log_format;
	char local_pool; /* of local programs */
	unsigned heartbeat_seconds;
	unsigned executor_start_seconds;
	unsigned executor_stop_seconds;
	unsigned executor_silence_ms; /* 0: it may stand still */
	unsigned probe_seconds;
	unsigned hello_seconds;
	unsigned connections_max;
	unsigned user_connections_max;
	unsigned processes_max;
	unsigned vm_processes_max;
	unsigned user_processes_max;
	char *policy;	 /* NULL: fair */
	char *placement; /* NULL: program */
	unsigned slice_us;
	unsigned burst_us;
	unsigned bursts;
	unsigned linger_us;
	unsigned aging_ms;
	struct configuration_list tenants; /* tenant_settings.c */
	bool tenant_per_program;
	unsigned quarantine_faults;
	unsigned quarantine_window; /* seconds */
	unsigned quarantine_seconds;
	bool quarantine_local;
	unsigned slow_wait_ms; /* 0: none is logged */
	unsigned slow_call_ms; /* the same */
	char *metrics;	       /* NULL: the usual address; METRICS_ADDRESS_NONE */
	char *admin_socket;    /* NULL: the usual place; ADMIN_SOCKET_NONE */
	char *admin_group;     /* NULL: the usual one */
	char *view_group;      /* the same */
	char *database;	       /* NULL: store_start() */
	char *database_import; /* NULL: the usual place */
	unsigned keep_seconds; /* 0: nothing survives the mediator */
};

struct configuration_source; /* the command line, kept for reloading */

/*
 * Reads the command line; with a wrong one or --help it ends the process, as argp does. NULL when
 * out of memory.
 */
struct configuration_source *configuration_source_create(int argument_count, char **arguments);
void configuration_source_destroy(struct configuration_source *source);

/* Is the program only to say whether the settings are right? */
bool configuration_checks_only(const struct configuration_source *source);

/* Settings in force now. 0, or -1 with an explanation in the log; release with configuration_clear. */
int configuration_load(const struct configuration_source *source, struct configuration *ret_configuration);
void configuration_clear(struct configuration *configuration);

#endif
