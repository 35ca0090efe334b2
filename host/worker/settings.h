/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of vgpu-worker. */
#ifndef WORKER_SETTINGS_H
#define WORKER_SETTINGS_H

#include <stdbool.h>

#define SETTINGS_EXIT_WRONG 2

struct executors;

/* Its texts are the command line's, or last as long as the program. */
struct settings {
	const char *listen;
	const char *credentials;
	const char *executor; /* the program */
	const char *driver;
	bool allow_pageable_access;
	unsigned connections_max;
	unsigned lanes_max;
	unsigned silence_ms;
	unsigned executor_silence_ms; /* 0: executors may stand still */
	bool checks_only;	      /* nothing is to be started */
};

/* 0, or -1 with a line in the log: SETTINGS_EXIT_WRONG. --help and usage errors end the program. */
int settings_read(int count, char **arguments, struct settings *ret_settings, struct executors *executors);

#endif
