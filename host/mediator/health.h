/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the mediator can do its work, for operators and their monitoring. */
#ifndef MEDIATOR_HEALTH_H
#define MEDIATOR_HEALTH_H

#include <stdbool.h>

struct mediator;

struct health_check {
	const char *name;
	bool is_good;
	char text[400];
};

#define HEALTH_CHECKS 4

/* True: all are good. */
bool health_look(const struct mediator *mediator, struct health_check ret_checks[HEALTH_CHECKS]);

#endif
