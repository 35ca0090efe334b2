/* SPDX-License-Identifier: Apache-2.0 */
/* Whether settings that are right each by itself fit together, and this host. What is wrong goes to the log. */
#ifndef MEDIATOR_CONFIGURATION_CHECK_H
#define MEDIATOR_CONFIGURATION_CHECK_H

struct configuration;
struct mediator;

/* Before they are taken over. 0, or -1: they cannot be. */
int configuration_check(const struct configuration *configuration);

/*
 * Whether what the mediator's settings name is there, for an operator who asks; nothing is started or changed. A
 * mediator would start with some of it missing, and wait for it. 0, or -1.
 */
int configuration_look(const struct mediator *mediator);

#endif
