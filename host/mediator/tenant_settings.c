/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants' settings from the configuration, lines "tenant = KEY NAME=VALUE ...", where KEY is vm:N, user:N,
 * program:NAME or default; and from the database.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "executor_group.h"
#include "log.h"
#include "mediator.h"
#include "number.h"
#include "schedule_policy.h"
#include "tenant.h"

#define LINE_BYTES 512
#define MEBIBYTE   (1ull << 20)

static int priority_parse(const char *text, uint32_t *ret_priority)
{
	static const char *const names[] = {"low", "medium", "high"};

	for (uint32_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(names[i], text) == 0) {
			*ret_priority = i;
			return 0;
		}
	}
	return -1;
}

/* Where a limit is kept, and its unit. */
static uint64_t *limit_place(struct tenant_settings *settings, enum store_setting setting, uint64_t *ret_unit)
{
	struct vgpu_limits *limits = &settings->limits;

	*ret_unit = 1;
	switch (setting) {
	case STORE_MEMORY_MIB:
		*ret_unit = MEBIBYTE;
		return &limits->memory_bytes;
	case STORE_PINNED_MIB:
		*ret_unit = MEBIBYTE;
		return &limits->pinned_bytes;
	case STORE_HANDLES:
		return &limits->handles;
	case STORE_QUEUE_DEPTH:
		return &limits->queue_depth;
	case STORE_COMMANDS_PER_SECOND:
		return &limits->commands_per_second;
	case STORE_MIB_PER_SECOND:
		*ret_unit = MEBIBYTE;
		return &limits->bytes_per_second;
	case STORE_KERNEL_MS:
		return &limits->kernel_ms;
	case STORE_HOST_MEMORY_MIB:
		*ret_unit = MEBIBYTE;
		return &settings->host.memory_bytes;
	case STORE_HOST_TASKS:
		return &settings->host.tasks;
	default:
		return NULL;
	}
}

int tenant_setting_parse(const char *name, const char *value, enum store_setting *ret_setting, int64_t *ret_number)
{
	enum store_setting setting = 0;
	uint64_t number = 0;

	while (setting < STORE_SETTING_COUNT && strcmp(store_setting_names[setting], name) != 0)
		setting++;
	if (setting == STORE_SETTING_COUNT)
		return -1;
	if (setting == STORE_PRIORITY) {
		uint32_t priority;

		if (priority_parse(value, &priority) < 0)
			return -1;
		number = priority;
	} else if (!number_parse(value, 10, setting == STORE_WEIGHT,
				 setting == STORE_WEIGHT ? POLICY_WEIGHT_MAX : UINT32_MAX, &number)) {
		return -1;
	}
	*ret_setting = setting;
	*ret_number = (int64_t)number;
	return 0;
}

static void setting_put(struct tenant_settings *settings, enum store_setting setting, int64_t number)
{
	uint64_t unit;
	uint64_t *limit = limit_place(settings, setting, &unit);

	if (limit)
		*limit = (uint64_t)number * unit;
	else if (setting == STORE_WEIGHT)
		settings->weight = (uint32_t)number;
	else if (setting == STORE_PRIORITY)
		settings->priority = (uint32_t)number;
	else
		settings->processes_max = (uint32_t)number;
}

int64_t tenant_setting_value(const struct tenant_settings *settings, enum store_setting setting)
{
	struct tenant_settings copy = *settings;
	uint64_t unit;
	const uint64_t *limit = limit_place(&copy, setting, &unit);

	if (limit)
		return (int64_t)(*limit / unit);
	if (setting == STORE_WEIGHT)
		return settings->weight;
	return setting == STORE_PRIORITY ? settings->priority : settings->processes_max;
}

static int setting_set(struct tenant_settings *settings, const char *name, const char *value)
{
	enum store_setting setting;
	int64_t number;

	if (tenant_setting_parse(name, value, &setting, &number) < 0)
		return -1;
	setting_put(settings, setting, number);
	return 0;
}

/* The words after the key; -1: one is wrong, *ret_wrong. */
static int words_apply(struct tenant_settings *settings, char **rest, const char **ret_wrong)
{
	char *word;

	while ((word = strtok_r(NULL, " \t", rest))) {
		char *value = strchr(word, '=');

		*ret_wrong = word;
		if (!value)
			return -1;
		*value++ = '\0';
		if (setting_set(settings, word, value) < 0) {
			value[-1] = '=';
			return -1;
		}
	}
	return 0;
}

/* Takes over the lines of that key. Lines have been checked when they were loaded. */
static void lines_apply(const struct configuration *configuration, const char *name, struct tenant_settings *settings)
{
	for (size_t i = 0; i < configuration->tenants.count; i++) {
		char line[LINE_BYTES];
		const char *wrong;
		char *rest;
		const char *key;

		snprintf(line, sizeof(line), "%s", configuration->tenants.values[i]);
		key = strtok_r(line, " \t", &rest);
		if (key && strcmp(key, name) == 0)
			(void)words_apply(settings, &rest, &wrong);
	}
}

static int stored_apply(const struct mediator *mediator, const char *name, struct tenant_settings *settings)
{
	struct store_tenant stored;
	enum store_result result = store_tenant_get(mediator->store, name, &stored);

	if (result == STORE_NONE)
		return 0;
	if (result != STORE_DONE) {
		log_error("[STORE] %s: its settings cannot be read: %s", name, store_error(mediator->store));
		return -1;
	}
	settings->pool = (unsigned char)stored.pool;
	for (enum store_setting setting = 0; setting < STORE_SETTING_COUNT; setting++) {
		if (stored.settings[setting] != STORE_UNSET)
			setting_put(settings, setting, stored.settings[setting]);
	}
	return 0;
}

int tenant_settings_find(const struct mediator *mediator, const char *name, uint32_t priority,
			 struct tenant_settings *ret_settings)
{
	struct tenant_settings settings = {
		.weight = POLICY_WEIGHT_DEFAULT, .priority = priority, .host = executor_group_limits_default()};

	lines_apply(&mediator->configuration, "default", &settings);
	lines_apply(&mediator->configuration, name, &settings);
	if (stored_apply(mediator, name, &settings) < 0)
		return -1;
	*ret_settings = settings;
	return 0;
}

/* "default", "vm:3", "user:1000", "program:NAME" */
static bool key_is_known(const char *key)
{
	const char *number = strncmp(key, "vm:", 3) == 0 ? key + 3 : strncmp(key, "user:", 5) == 0 ? key + 5 : NULL;

	if (number)
		return *number && !number[strspn(number, "0123456789")];
	return strcmp(key, "default") == 0 || (strncmp(key, "program:", 8) == 0 && key[8]);
}

bool tenant_line_check(const char *text, char *ret_reason, size_t bytes)
{
	struct tenant_settings settings = {.weight = 1};
	char line[LINE_BYTES];
	const char *wrong;
	const char *key;
	char *rest;

	if (strlen(text) >= sizeof(line)) {
		snprintf(ret_reason, bytes, "it is too long");
		return false;
	}
	snprintf(line, sizeof(line), "%s", text);
	key = strtok_r(line, " \t", &rest);
	if (!key || !key_is_known(key)) {
		snprintf(ret_reason, bytes, "\"%s\" is none of vm:N, user:N, program:NAME, default", key ? key : "");
		return false;
	}
	if (words_apply(&settings, &rest, &wrong) < 0) {
		snprintf(ret_reason, bytes, "\"%s\" is no setting of a tenant with a value", wrong);
		return false;
	}
	return true;
}
