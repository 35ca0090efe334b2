/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-admin: what operators tell and ask the mediator. */
#include <argp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client.h"
#include "command.h"
#include "iommu.h"
#include "print.h"
#include "record.h"
#include "top.h"

#define SOCKET_PATH	 "/var/vgpu/admin.sock"
#define SOCKET_VARIABLE	 "VGPU_ADMIN_SOCKET"
#define WORDS_MAX	 4
#define OPTIONS_MAX	 40
#define INTERVAL_DEFAULT 1.0

enum { KEY_SOCKET = 0x1000, KEY_JSON, KEY_ONCE, KEY_INTERVAL, KEY_PROMETHEUS, KEY_LIST, KEY_OPTIONS };

struct invocation {
	const char *socket;
	bool as_json;
	bool once;
	double interval;
	const struct command *command;
	const char *words[WORDS_MAX];
	size_t word_count;
	json_t *arguments;
	const char *options[OPTIONS_MAX]; /* names of those that were given */
	size_t option_count;
};

/* "weight" is in " pool weight ". */
static bool word_is_in(const char *word, const char *list)
{
	char padded[64];

	snprintf(padded, sizeof(padded), " %s ", word);
	return strstr(list, padded) != NULL;
}

static void argument_set(struct argp_state *state, const char *name, const char *value)
{
	struct invocation *invocation = state->input;

	if (json_object_get(invocation->arguments, name))
		argp_error(state, "%s is given twice", name);
	if (json_object_set_new(invocation->arguments, name, json_string(value)) < 0)
		argp_error(state, "%s: the value is not UTF-8 text", name);
}

static void option_note(struct argp_state *state, const char *name)
{
	struct invocation *invocation = state->input;

	if (invocation->option_count == OPTIONS_MAX)
		argp_error(state, "too many options");
	invocation->options[invocation->option_count++] = name;
}

/* 36 characters, and nothing but digits and dashes. */
static bool is_uuid(const char *word)
{
	return strlen(word) == 36 && strspn(word, "0123456789abcdefABCDEF-") == 36;
}

static void words_assign(struct argp_state *state)
{
	struct invocation *invocation = state->input;
	const char *name = invocation->command->words;

	for (size_t i = 0; i < invocation->word_count; i++) {
		char argument[32];
		size_t length = strcspn(name, " ");

		if (!*name)
			argp_error(state, "%s: \"%s\" is one word too many", invocation->command->name,
				   invocation->words[i]);
		snprintf(argument, sizeof(argument), "%.*s", (int)length, name);
		/* A VM may be registered by its name alone. */
		if (strcmp(invocation->command->name, "register-vm") == 0 && i == 0 && !is_uuid(invocation->words[0])) {
			name += length + 1;
			length = strcspn(name, " ");
			snprintf(argument, sizeof(argument), "%.*s", (int)length, name);
		}
		argument_set(state, argument, invocation->words[i]);
		name += length + 1;
	}
}

static void invocation_check(struct argp_state *state)
{
	struct invocation *invocation = state->input;
	const struct command *command = invocation->command;

	if (!command) {
		argp_error(state, "no command");
		return;
	}
	if (invocation->word_count < command->words_needed)
		argp_error(state, "usage: vgpu-admin %s %s", command->name, command->synopsis);
	for (size_t i = 0; i < invocation->option_count; i++) {
		if (!word_is_in(invocation->options[i], command->options))
			argp_error(state, "%s takes no --%s", command->name, invocation->options[i]);
	}
	words_assign(state);
	if (command->kind == COMMAND_METRICS) {
		invocation->command = command_find("show-metrics");
		argument_set(state, "format", "prometheus");
	}
}

static void commands_list(void)
{
	for (const struct command *command = commands; command->name; command++)
		printf("%s\n", command->name);
	exit(EXIT_DONE);
}

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct invocation *invocation = state->input;
	char *end;

	switch (key) {
	case KEY_SOCKET:
		invocation->socket = argument;
		return 0;
	case KEY_JSON:
		invocation->as_json = true;
		return 0;
	case KEY_ONCE:
		invocation->once = true;
		option_note(state, "once");
		return 0;
	case KEY_INTERVAL:
		invocation->interval = strtod(argument, &end);
		if (*end || !(invocation->interval >= 0.1 && invocation->interval <= 3600))
			argp_error(state, "--interval: \"%s\" is no number from 0.1 to 3600", argument);
		option_note(state, "interval");
		return 0;
	case KEY_PROMETHEUS:
		option_note(state, "prometheus");
		argument_set(state, "format", "prometheus");
		return 0;
	case KEY_LIST:
		commands_list();
		return 0;
	case ARGP_KEY_ARG:
		if (!invocation->command) {
			invocation->command = command_find(argument);
			if (!invocation->command)
				argp_error(state, "there is no command \"%s\"", argument);
			return 0;
		}
		if (invocation->word_count == WORDS_MAX)
			argp_error(state, "too many words");
		invocation->words[invocation->word_count++] = argument;
		return 0;
	case ARGP_KEY_END:
		invocation_check(state);
		return 0;
	default:
		if (key < KEY_OPTIONS || key >= KEY_OPTIONS + OPTIONS_MAX)
			return ARGP_ERR_UNKNOWN;
		option_note(state, command_options[key - KEY_OPTIONS].name);
		argument_set(state, command_options[key - KEY_OPTIONS].argument, argument);
		return 0;
	}
}

static char *help_extend(int key, const char *text, void *input)
{
	char *help;
	size_t bytes;
	FILE *stream;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)(uintptr_t)text;
	stream = open_memstream(&help, &bytes);
	if (!stream)
		return NULL;
	fprintf(stream, "Commands:\n");
	for (const struct command *command = commands; command->name; command++) {
		char usage[64];

		snprintf(usage, sizeof(usage), "%s %s", command->name, command->synopsis);
		fprintf(stream, "  %-29s %s\n", usage, command->help);
	}
	fprintf(stream,
		"\nA VM is named by its vm_id, UUID or name; other tenants as user:1000 or program:NAME.\n"
		"Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no mediator, 4 denied, 5 not found, 6 conflict, "
		"7 unhealthy.");
	fclose(stream);
	return help;
}

/* To standard error, so that what is read from standard output stays what it is. */
static void warnings_show(json_t *result)
{
	const json_t *warning;
	size_t index;

	json_array_foreach(json_object_get(result, "warnings"), index, warning)
		fprintf(stderr, "vgpu-admin: warning: %s\n", json_string_value(warning));
	json_object_del(result, "warnings");
}

static void result_show(const struct invocation *invocation, json_t *result)
{
	const char *text;

	if (!invocation->as_json)
		warnings_show(result);
	text = json_string_value(json_object_get(result, "text"));
	if (invocation->as_json) {
		json_dumpf(result, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (text) {
		fputs(text, stdout);
	} else if (json_is_array(result) || json_object_size(result) > 0) {
		print_result(stdout, result);
	}
}

static enum exit_code health_code(const json_t *checks)
{
	const json_t *check;
	size_t index;

	json_array_foreach(checks, index, check)
	{
		if (!json_is_true(json_object_get(check, "good")))
			return EXIT_UNHEALTHY;
	}
	return EXIT_DONE;
}

static enum exit_code command_run(const struct invocation *invocation)
{
	struct client client = {.socket = -1};
	enum exit_code code = EXIT_DONE;
	json_t *result = NULL;

	if (invocation->command->kind == COMMAND_IOMMU)
		result = iommu_look("/sys");
	else
		code = client_connect(&client, invocation->socket);
	if (code == EXIT_DONE && invocation->command->kind == COMMAND_TOP)
		code = top_run(&client, invocation->interval, invocation->once, invocation->as_json);
	else if (code == EXIT_DONE && invocation->command->kind == COMMAND_RECORD)
		code = record_run(&client, invocation->arguments, &result);
	else if (code == EXIT_DONE && !result)
		code = client_request(&client, invocation->command->name, invocation->arguments, &result);
	if (result)
		result_show(invocation, result);
	if (code == EXIT_DONE && invocation->command->kind == COMMAND_HEALTH)
		code = health_code(result);
	json_decref(result);
	client_close(&client);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}

int main(int argument_count, char **arguments)
{
	struct argp_option options[OPTIONS_MAX] = {
		{"socket", KEY_SOCKET, "PATH", 0, "The mediator's (" SOCKET_PATH ", or " SOCKET_VARIABLE ")", 1},
		{"json", KEY_JSON, NULL, 0, "Results as JSON", 1},
		{"once", KEY_ONCE, NULL, 0, "Of top: one measurement, for scripts", 1},
		{"interval", KEY_INTERVAL, "SECONDS", 0, "Of top (1)", 1},
		{"prometheus", KEY_PROMETHEUS, NULL, 0, "Of show-metrics: in Prometheus' text format", 1},
		{"list-commands", KEY_LIST, NULL, OPTION_HIDDEN, NULL, 1},
	};
	struct argp parser = {
		.options = options,
		.parser = option_parse,
		.args_doc = "COMMAND [WORD...]",
		.doc = "Administers the mediator of vgpu-cuda. What is changed holds at once and is kept.\v ",
		.help_filter = help_extend,
	};
	const char *socket = getenv(SOCKET_VARIABLE);
	struct invocation invocation = {
		.socket = socket && *socket ? socket : SOCKET_PATH,
		.interval = INTERVAL_DEFAULT,
		.arguments = json_object(),
	};
	size_t count = 6;
	enum exit_code code;

	for (size_t i = 0; command_options[i].name; i++)
		options[count++] = (struct argp_option){.name = command_options[i].name,
							.key = KEY_OPTIONS + (int)i,
							.arg = command_options[i].value,
							.doc = command_options[i].help,
							.group = 2};
	argp_err_exit_status = EXIT_USAGE;
	argp_program_version = "vgpu-admin " VGPU_VERSION;
	if (!invocation.arguments || argp_parse(&parser, argument_count, arguments, 0, NULL, &invocation))
		return EXIT_FAILED;
	code = command_run(&invocation);
	json_decref(invocation.arguments);
	return code;
}
