/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the mediator can do its work, for operators and their monitoring. */
#ifndef MEDIATOR_HEALTH_H
#define MEDIATOR_HEALTH_H

#include <stdbool.h>

#define HEALTH_TEXT_BYTES 512

struct mediator;

struct health_check {
	const char *name;
	bool is_good;
	char text[HEALTH_TEXT_BYTES]; /* what is wrong; or how it is */
};

#define HEALTH_CHECKS 9

/* The first is of the driver. True: all are good. */
bool health_look(const struct mediator *mediator, struct health_check ret_checks[HEALTH_CHECKS]);

#endif
