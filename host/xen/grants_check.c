/* SPDX-License-Identifier: Apache-2.0 */
#include "grants_check.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "grants_list.h"

#define GUESTS_MAX 1024
#define SLOT_MAX   31

struct checked {
	const char *path;
	unsigned number; /* of the line */
	char *guests[GUESTS_MAX];
	unsigned guest_count;
	bool is_wrong;
};

static void wrong(struct checked *checked, const char *word, const char *what)
{
	fprintf(stderr, "%s:%u: %s: %s\n", checked->path, checked->number, word, what);
	checked->is_wrong = true;
}

/* In the child: what this program says of the options of one guest, without one. */
static void options_parse(char *const *words)
{
	char *arguments[GRANTS_LIST_WORDS + 4];
	char check[] = "--check";
	char domain[] = "1";
	char name[] = "vgpu-xen-grants";
	size_t count = 0;

	arguments[count++] = name;
	arguments[count++] = check;
	while (*words)
		arguments[count++] = *words++;
	arguments[count++] = domain;
	arguments[count] = NULL;
	execv("/proc/self/exe", arguments);
	_exit(EXIT_FAILURE);
}

static void options_check(struct checked *checked, char *const *words)
{
	char text[512] = "";
	int status = -1;
	int ends[2];
	pid_t child;
	FILE *said;

	if (pipe(ends) < 0) {
		wrong(checked, "pipe", strerror(errno));
		return;
	}
	child = fork();
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		close(ends[0]);
		close(ends[1]);
		options_parse(words);
	}
	close(ends[1]);
	said = fdopen(ends[0], "r");
	/* Of argp's lines the first one says what is wrong. */
	if (!said || !fgets(text, sizeof(text), said))
		text[0] = '\0';
	if (said)
		fclose(said);
	else
		close(ends[0]);
	if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
		text[strcspn(text, "\n")] = '\0';
		wrong(checked, "options", text);
	}
}

static bool is_slot(const char *text)
{
	return *text && !text[strspn(text, "0123456789")] && strlen(text) <= 2 && strtoul(text, NULL, 10) <= SLOT_MAX;
}

static void guest_note(struct checked *checked, const char *guest)
{
	char *copy;

	for (unsigned i = 0; i < checked->guest_count; i++) {
		if (strcmp(checked->guests[i], guest) == 0) {
			wrong(checked, guest, "is in an earlier line, which counts");
			return;
		}
	}
	copy = checked->guest_count < GUESTS_MAX ? strdup(guest) : NULL;
	if (copy)
		checked->guests[checked->guest_count++] = copy;
}

static void line_check(struct checked *checked, const char *line)
{
	struct grants_list_entry entry;
	char guest[sizeof(entry.line)];
	char place[sizeof(entry.line)];

	if (strlen(line) >= sizeof(entry.line)) {
		wrong(checked, "the line", "is too long");
		return;
	}
	if (sscanf(line, "%s %s", guest, place) != 2) {
		if (sscanf(line, "%s", guest) == 1 && guest[0] != '#')
			wrong(checked, guest, "there is neither a slot nor \"" GRANTS_LIST_PLACE "\"");
		return;
	}
	if (guest[0] == '#')
		return;
	guest_note(checked, guest);
	if (strcmp(place, GRANTS_LIST_PLACE) != 0 && !is_slot(place))
		wrong(checked, place, "is neither a slot, 0 to 31, nor \"" GRANTS_LIST_PLACE "\"");
	else if (!grants_list_match_any(line, guest, guest, &entry))
		wrong(checked, guest, "has too many options");
	else if (strcmp(place, GRANTS_LIST_PLACE) == 0)
		options_check(checked, entry.words);
}

int grants_check(const char *list)
{
	struct checked checked = {.path = list};
	FILE *file = fopen(list, "re");
	char *line = NULL;
	size_t room = 0;

	if (!file) {
		fprintf(stderr, "%s: %s\n", list, strerror(errno));
		return GRANTS_EXIT_WRONG;
	}
	while (getline(&line, &room, file) >= 0) {
		checked.number++;
		line_check(&checked, line);
	}
	free(line);
	fclose(file);
	for (unsigned i = 0; i < checked.guest_count; i++)
		free(checked.guests[i]);
	if (!checked.is_wrong)
		fprintf(stderr, "vgpu-xen-grants: the list is right\n");
	return checked.is_wrong ? GRANTS_EXIT_WRONG : EXIT_SUCCESS;
}
