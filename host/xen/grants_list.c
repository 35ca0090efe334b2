/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_list.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool grants_list_match(const char *line, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
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
	if (!word || strcmp(word, GRANTS_LIST_PLACE) != 0)
		return false;
	while ((word = strtok_r(NULL, separators, &rest))) {
		if (count == GRANTS_LIST_WORDS)
			return false;
		entry->words[count++] = word;
	}
	entry->words[count] = NULL;
	return true;
}

bool grants_list_find(const char *path, const char *uuid, const char *name, struct grants_list_entry *ret_entry)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	bool is_found = false;

	if (!file)
		return false;
	while (!is_found && getline(&line, &room, file) >= 0)
		is_found = grants_list_match(line, uuid, name, ret_entry);
	free(line);
	fclose(file);
	return is_found;
}
