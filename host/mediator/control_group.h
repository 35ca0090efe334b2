/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linux's control groups, version 2 (Documentation/admin-guide/cgroup-v2.rst): where ours is, and the files of one.
 * Nothing blocks: the files are the kernel's.
 */
#ifndef MEDIATOR_CONTROL_GROUP_H
#define MEDIATOR_CONTROL_GROUP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define CONTROL_GROUP_UNLIMITED UINT64_MAX

/*
 * The folder of a process's group, from the texts of its mountinfo and cgroup in /proc. 0, or -1: there is no version
 * 2, or the group is not below what is mounted.
 */
int control_group_path_find(const char *mounts, const char *groups, char ret_path[PATH_MAX]);

/* The folder of this process's group. 0, or -1 with errno. */
int control_group_own_find(char ret_path[PATH_MAX]);

/* The folder, open, if it is one of version 2; -1 with errno (EMEDIUMTYPE: it is none). */
int control_group_open(const char *path);

/* Writes the whole text at once, as these files want it. 0, or -1 with errno. */
int control_group_write(int group, const char *file, const char *text);

/* "max" for CONTROL_GROUP_UNLIMITED. */
int control_group_limit_write(int group, const char *file, uint64_t limit);

/* A file with one number; "max" is CONTROL_GROUP_UNLIMITED. 0, or -1 with errno. */
int control_group_number_read(int group, const char *file, uint64_t *ret_number);

/* The number behind the word at the beginning of a line. 0, or -1 with errno. */
int control_group_event_read(int group, const char *file, const char *word, uint64_t *ret_number);

/* The same in a text; false: it is not there. */
bool control_group_event_find(const char *text, const char *word, uint64_t *ret_number);

/* Is the controller in the group's list of those that it may give to its children? */
bool control_group_has(int group, const char *controller);

/* In a text of names with spaces between them. */
bool control_group_list_has(const char *list, const char *name);

#endif
