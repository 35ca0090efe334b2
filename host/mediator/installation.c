/* SPDX-License-Identifier: Apache-2.0 */
#include "installation.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *installation_file_find(const char *const *places)
{
	char program[PATH_MAX];
	char place[PATH_MAX + 128];
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);
	char *slash;

	if (length < 0)
		return NULL;
	program[length] = '\0';
	slash = strrchr(program, '/');
	if (slash)
		slash[1] = '\0';
	for (; *places; places++) {
		snprintf(place, sizeof(place), "%s%s", program, *places);
		if (access(place, F_OK) == 0)
			return realpath(place, NULL);
	}
	errno = ENOENT;
	return NULL;
}
