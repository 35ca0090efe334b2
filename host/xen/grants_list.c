/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 'place': where the device has to be, NULL: anywhere. */
static bool line_match(const char *line, const char *place, const char *uuid, const char *name,
		       struct grants_list_entry *ret_entry)
{
	static const char separators[] = " \t\r\n";
	struct grants_list_entry *entry = ret_entry;
	size_t count = 0;
	char *rest;
	char *word;

	if (strlen(line) >= sizeof(entry->line))
		return false;
	memcpy(entry->line, line, strlen(line) + 1);
	word = strtok_r(entry->line, separators, &rest);
	if (!word || !*word || (strcmp(word, uuid) != 0 && strcmp(word, name) != 0))
		return false;
	word = strtok_r(NULL, separators, &rest);
	if (!word || (place && strcmp(word, place) != 0))
		return false;
	while ((word = strtok_r(NULL, separators, &rest))) {
		if (count == GRANTS_LIST_WORDS)
			return false;
		entry->words[count++] = word;
	}
	entry->words[count] = NULL;
	return true;
}

bool grants_list_match(const char *line, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
{
	return line_match(line, GRANTS_LIST_PLACE, uuid, name, ret_entry);
}

bool grants_list_match_any(const char *line, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
{
	return line_match(line, NULL, uuid, name, ret_entry);
}

static bool file_find(const char *path, const char *place, const char *uuid, const char *name,
		      struct grants_list_entry *ret_entry)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	bool is_found = false;

	if (!file)
		return false;
	while (!is_found && getline(&line, &room, file) >= 0)
		is_found = line_match(line, place, uuid, name, ret_entry);
	free(line);
	fclose(file);
	return is_found;
}

bool grants_list_find(const char *path, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
{
	return file_find(path, GRANTS_LIST_PLACE, uuid, name, ret_entry);
}

bool grants_list_find_any(const char *path, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
{
	return file_find(path, NULL, uuid, name, ret_entry);
}
