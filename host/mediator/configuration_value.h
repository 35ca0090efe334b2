/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which values a setting can have, beyond its kind: each by itself, so that what is wrong can be told with the line
 * that has it.
 */
#ifndef MEDIATOR_CONFIGURATION_VALUE_H
#define MEDIATOR_CONFIGURATION_VALUE_H

#include <stdbool.h>
#include <stddef.h>

/* Can the setting of that name have that text as its value? If not, why: of 'bytes' at least 1. */
bool configuration_value_check(const char *setting, const char *value, char *ret_reason, size_t bytes);

#endif
