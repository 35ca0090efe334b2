/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants' settings from the configuration: lines "tenant = KEY NAME=VALUE ...", where KEY is vm:N, user:N,
 * program:NAME or default.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "log.h"
#include "mediator.h"
#include "schedule_policy.h"
#include "tenant.h"

#define LINE_BYTES 512
#define MEBIBYTE   (1ull << 20)

static int number_parse(const char *text, uint64_t maximum, uint64_t *ret_number)
{
	char *end;
	unsigned long long number;

	if (*text < '0' || *text > '9')
		return -1;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno || *end || number > maximum)
		return -1;
	*ret_number = number;
	return 0;
}

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

static int setting_set(struct tenant_settings *settings, const char *name, const char *value)
{
	const struct {
		const char *name;
		uint64_t *field;
		uint64_t unit;
	} limits[] = {
		{"memory-mib", &settings->limits.memory_bytes, MEBIBYTE},
		{"pinned-mib", &settings->limits.pinned_bytes, MEBIBYTE},
		{"handles", &settings->limits.handles, 1},
		{"queue-depth", &settings->limits.queue_depth, 1},
		{"commands-per-second", &settings->limits.commands_per_second, 1},
		{"mib-per-second", &settings->limits.bytes_per_second, MEBIBYTE},
		{"kernel-ms", &settings->limits.kernel_ms, 1},
	};
	uint64_t number;

	if (strcmp(name, "priority") == 0)
		return priority_parse(value, &settings->priority);
	if (number_parse(value, UINT32_MAX, &number) < 0)
		return -1;
	if (strcmp(name, "weight") == 0) {
		settings->weight = (uint32_t)number;
		return number >= 1 && number <= POLICY_WEIGHT_MAX ? 0 : -1;
	}
	if (strcmp(name, "processes") == 0) {
		settings->processes_max = (uint32_t)number;
		return 0;
	}
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (strcmp(limits[i].name, name) == 0) {
			*limits[i].field = number * limits[i].unit;
			return 0;
		}
	}
	return -1;
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
		if (setting_set(settings, word, value) < 0)
			return -1;
	}
	return 0;
}

static void key_name(const struct tenant_key *key, char *text, size_t bytes)
{
	if (key->kind == TENANT_PROGRAM)
		snprintf(text, bytes, "program:%s", key->name);
	else
		snprintf(text, bytes, "%s:%" PRIu32, key->kind == TENANT_VM ? "vm" : "user", key->id);
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

void tenant_settings_find(const struct mediator *mediator, const struct tenant_key *key, uint32_t priority,
			  struct tenant_settings *ret_settings)
{
	struct tenant_settings settings = {.weight = POLICY_WEIGHT_DEFAULT, .priority = priority};
	char name[TENANT_NAME_BYTES + 16];

	key_name(key, name, sizeof(name));
	lines_apply(&mediator->configuration, "default", &settings);
	lines_apply(&mediator->configuration, name, &settings);
	*ret_settings = settings;
}

int tenant_settings_check(const struct configuration *configuration)
{
	for (size_t i = 0; i < configuration->tenants.count; i++) {
		struct tenant_settings settings = {.weight = 1};
		char line[LINE_BYTES];
		const char *wrong = "";
		char *rest;

		if (strlen(configuration->tenants.values[i]) >= sizeof(line)) {
			log_error("tenant: the line is too long");
			return -1;
		}
		snprintf(line, sizeof(line), "%s", configuration->tenants.values[i]);
		if (!strtok_r(line, " \t", &rest) || words_apply(&settings, &rest, &wrong) < 0) {
			log_error("tenant: \"%s\": \"%s\" is no setting of a tenant", configuration->tenants.values[i],
				  wrong);
			return -1;
		}
	}
	return 0;
}
