/* SPDX-License-Identifier: Apache-2.0 */
#include "control_group.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#define FILE_BYTES_MAX	  4096
#define PROC_BYTES_MAX	  (256u << 10)
#define GROUP_LINE	  "0::" /* of version 2, in /proc/PID/cgroup */
#define MOUNT_ROOT_FIELD  3
#define MOUNT_POINT_FIELD 4

/* A field of mountinfo, in which "\040" is a space (proc(5)). False: there is none, or it is too long. */
static bool mount_field_take(const char *line, unsigned number, char target[PATH_MAX])
{
	size_t used = 0;

	while (number--) {
		line = strchr(line, ' ');
		if (!line++)
			return false;
	}
	while (*line && *line != ' ' && *line != '\n') {
		unsigned value = (unsigned char)*line;
		int taken = 1;

		if (line[0] == '\\' && line[1] >= '0' && line[1] <= '3' && line[2] >= '0' && line[2] <= '7' &&
		    line[3] >= '0' && line[3] <= '7') {
			value = (unsigned)(line[1] - '0') << 6 | (unsigned)(line[2] - '0') << 3 |
				(unsigned)(line[3] - '0');
			taken = 4;
		}
		if (used + 1 >= PATH_MAX)
			return false;
		target[used++] = (char)value;
		line += taken;
	}
	target[used] = '\0';
	return used > 0;
}

static bool mount_is_version_2(const char *line)
{
	const char *end = strchrnul(line, '\n');
	const char *kind = strstr(line, " - ");

	return kind && kind < end && strncmp(kind, " - cgroup2 ", strlen(" - cgroup2 ")) == 0;
}

static const char *line_next(const char *line)
{
	line = strchr(line, '\n');
	return line ? line + 1 : "";
}

static bool own_path_take(const char *groups, char path[PATH_MAX])
{
	for (const char *line = groups; *line; line = line_next(line)) {
		const char *at = line + strlen(GROUP_LINE);
		size_t length;

		if (strncmp(line, GROUP_LINE "/", strlen(GROUP_LINE "/")) != 0)
			continue;
		length = (size_t)(strchrnul(at, '\n') - at);
		if (length >= PATH_MAX)
			return false;
		memcpy(path, at, length);
		path[length] = '\0';
		/* Outside of our namespace. */
		return strncmp(path, "/..", 3) != 0;
	}
	return false;
}

/* What of the path lies below the root; NULL: it does not. */
static const char *path_below(const char *path, const char *root)
{
	size_t length = strcmp(root, "/") == 0 ? 0 : strlen(root);

	if (strncmp(path, root, length) != 0 || (path[length] && path[length] != '/'))
		return NULL;
	return strcmp(&path[length], "/") == 0 ? "" : &path[length];
}

int control_group_path_find(const char *mounts, const char *groups, char ret_path[PATH_MAX])
{
	char own[PATH_MAX];
	char root[PATH_MAX];
	char point[PATH_MAX];

	if (!own_path_take(groups, own))
		return -1;
	for (const char *line = mounts; *line; line = line_next(line)) {
		const char *below;

		if (!mount_is_version_2(line) || !mount_field_take(line, MOUNT_ROOT_FIELD, root) ||
		    !mount_field_take(line, MOUNT_POINT_FIELD, point))
			continue;
		below = path_below(own, root);
		if (below && (size_t)snprintf(ret_path, PATH_MAX, "%s%s", point, below) < PATH_MAX)
			return 0;
	}
	return -1;
}

/* With a zero behind it. 0, or -1 with errno. */
static int text_read(int folder, const char *file, char *text, size_t bytes)
{
	int descriptor = openat(folder, file, O_RDONLY | O_CLOEXEC);
	size_t used = 0;
	ssize_t taken = 1;

	if (descriptor < 0)
		return -1;
	while (taken > 0 && used + 1 < bytes) {
		taken = read(descriptor, text + used, bytes - used - 1);
		used += taken > 0 ? (size_t)taken : 0;
	}
	close(descriptor);
	text[used] = '\0';
	return taken < 0 ? -1 : 0;
}

int control_group_own_find(char ret_path[PATH_MAX])
{
	char *mounts = malloc(PROC_BYTES_MAX);
	char groups[FILE_BYTES_MAX];
	int result = -1;

	errno = ENOMEM;
	if (mounts && text_read(AT_FDCWD, "/proc/self/mountinfo", mounts, PROC_BYTES_MAX) == 0 &&
	    text_read(AT_FDCWD, "/proc/self/cgroup", groups, sizeof(groups)) == 0) {
		result = control_group_path_find(mounts, groups, ret_path);
		errno = ENOENT;
	}
	free(mounts);
	return result;
}

int control_group_open(const char *path)
{
	int group = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs status;

	if (group < 0)
		return -1;
	if (fstatfs(group, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC)
		return group;
	close(group);
	errno = EMEDIUMTYPE;
	return -1;
}

int control_group_write(int group, const char *file, const char *text)
{
	int descriptor = openat(group, file, O_WRONLY | O_CLOEXEC);
	ssize_t written;
	int error;

	if (descriptor < 0)
		return -1;
	written = write(descriptor, text, strlen(text));
	error = written < 0 ? errno : EIO;
	close(descriptor);
	errno = error;
	return written == (ssize_t)strlen(text) ? 0 : -1;
}

int control_group_limit_write(int group, const char *file, uint64_t limit)
{
	char text[24] = "max";

	if (limit != CONTROL_GROUP_UNLIMITED)
		snprintf(text, sizeof(text), "%" PRIu64, limit);
	return control_group_write(group, file, text);
}

static int number_parse(const char *text, uint64_t *ret_number)
{
	char *end;

	if (strncmp(text, "max", 3) == 0) {
		*ret_number = CONTROL_GROUP_UNLIMITED;
		return 0;
	}
	errno = 0;
	*ret_number = strtoull(text, &end, 10);
	if (*text < '0' || *text > '9' || errno || (*end && *end != '\n')) {
		errno = EBADMSG;
		return -1;
	}
	return 0;
}

int control_group_number_read(int group, const char *file, uint64_t *ret_number)
{
	char text[64];

	if (text_read(group, file, text, sizeof(text)) < 0)
		return -1;
	return number_parse(text, ret_number);
}

bool control_group_event_find(const char *text, const char *word, uint64_t *ret_number)
{
	size_t length = strlen(word);

	for (const char *line = text; *line; line = line_next(line)) {
		if (strncmp(line, word, length) == 0 && line[length] == ' ')
			return number_parse(&line[length + 1], ret_number) == 0;
	}
	return false;
}

int control_group_event_read(int group, const char *file, const char *word, uint64_t *ret_number)
{
	char text[FILE_BYTES_MAX];

	if (text_read(group, file, text, sizeof(text)) < 0)
		return -1;
	errno = EBADMSG;
	return control_group_event_find(text, word, ret_number) ? 0 : -1;
}

bool control_group_list_has(const char *list, const char *name)
{
	size_t length = strlen(name);

	while (*list) {
		size_t word = strcspn(list, " \n");

		if (word == length && strncmp(list, name, length) == 0)
			return true;
		list += word;
		list += strspn(list, " \n");
	}
	return false;
}

bool control_group_has(int group, const char *controller)
{
	char text[FILE_BYTES_MAX];

	return text_read(group, "cgroup.controllers", text, sizeof(text)) == 0 &&
	       control_group_list_has(text, controller);
}
