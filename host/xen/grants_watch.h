/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starts a process of this program for each domain that the list names, when it comes. A process ends with its domain;
 * one that ends before is started again a second later.
 */
#ifndef XEN_GRANTS_WATCH_H
#define XEN_GRANTS_WATCH_H

struct grants_watch_settings {
	const char *list;
	const char *socket_path; /* NULL: the default ones */
};

/* Returns, with the exit status, only when XenStore is lost or a signal ends it; its processes end then. */
int grants_watch_run(const struct grants_watch_settings *settings);

#endif
