/* SPDX-License-Identifier: Apache-2.0 */
/* The list of guests, /etc/vgpu/xen-guests: "UUID-OR-NAME grants OPTION...", a guest a line. */
#ifndef XEN_GRANTS_LIST_H
#define XEN_GRANTS_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define GRANTS_LIST_PLACE "grants" /* in the place of a PCI slot */
#define GRANTS_LIST_WORDS 32

struct grants_list_entry {
	char line[512];
	char *words[GRANTS_LIST_WORDS + 1]; /* the options, in 'line'; NULL after the last */
};

/*
 * Takes a line apart. False: it is of another guest, of one with another device, or none; a line that is longer than
 * the entry's, or has more options than it, is none.
 */
bool grants_list_match(const char *line, const char *uuid, const char *name, struct grants_list_entry *ret_entry);

/* The same for a guest with any device. */
bool grants_list_match_any(const char *line, const char *uuid, const char *name, struct grants_list_entry *ret_entry);

/* The first line of the file that matches. False: there is none. */
bool grants_list_find(const char *path, const char *uuid, const char *name, struct grants_list_entry *ret_entry);
bool grants_list_find_any(const char *path, const char *uuid, const char *name, struct grants_list_entry *ret_entry);

#endif
