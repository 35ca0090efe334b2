/* SPDX-License-Identifier: Apache-2.0 */
/* The commands of vgpu-admin, as tables: what is typed, and what the mediator is asked. */
#ifndef ADMIN_COMMAND_H
#define ADMIN_COMMAND_H

#include <stddef.h>

enum command_kind {
	COMMAND_REQUEST, /* the mediator does it */
	COMMAND_HEALTH,	 /* the same; its exit code tells the answer */
	COMMAND_METRICS, /* show-metrics --prometheus */
	COMMAND_TOP,
	COMMAND_IOMMU,
	COMMAND_RECORD,
};

struct command {
	const char *name;
	const char *synopsis; /* of what is not an option */
	const char *words;    /* the argument that each word is, with a space after each */
	size_t words_needed;
	const char *options; /* that it takes, with a space before and after each */
	const char *help;
	enum command_kind kind;
};

/* An option with a value, and the argument that it is. */
struct command_option {
	const char *name;
	const char *argument;
	const char *value; /* in --help */
	const char *help;
};

extern const struct command commands[]; /* the last one's name is NULL */
extern const struct command_option command_options[];

/* NULL: there is none of that name. */
const struct command *command_find(const char *name);

#endif
