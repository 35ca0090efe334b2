/* SPDX-License-Identifier: Apache-2.0 */
#include "admin.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "admin_private.h"
#include "log.h"
#include "number.h"
#include "session.h"

int admin_fail(struct admin_request *request, const char *code, const char *format, ...)
{
	va_list arguments;

	request->code = code;
	va_start(arguments, format);
	vsnprintf(request->error, sizeof(request->error), format, arguments);
	va_end(arguments);
	return -1;
}

void admin_warn(struct admin_request *request, const char *format, ...)
{
	char text[sizeof(request->error)];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	log_warning("[ADMIN] %s (%s)", text, request->who);
	if (!request->warnings)
		request->warnings = json_array();
	json_array_append_new(request->warnings, admin_string(text));
}

int admin_store_check(struct admin_request *request, enum store_result result, const char *what)
{
	switch (result) {
	case STORE_DONE:
		return 0;
	case STORE_NONE:
		return admin_fail(request, ADMIN_NOT_FOUND, "%s: there is no such entry", what);
	case STORE_CONFLICT:
		return admin_fail(request, ADMIN_CONFLICT, "%s: another one has that identity", what);
	case STORE_FAILED:
		break;
	}
	log_error("[STORE] %s", store_error(request->mediator->store));
	return admin_fail(request, ADMIN_FAILED, "%s", store_error(request->mediator->store));
}

bool admin_has(const struct admin_request *request, const char *name)
{
	return json_object_get(request->arguments, name) != NULL;
}

int admin_text(struct admin_request *request, const char *name, char *ret_text, size_t bytes)
{
	const json_t *value = json_object_get(request->arguments, name);

	if (!value)
		return admin_fail(request, ADMIN_INVALID, "%s is missing", name);
	if (json_is_integer(value))
		snprintf(ret_text, bytes, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_string_length(value) == 0 || json_string_length(value) >= bytes)
		return admin_fail(request, ADMIN_INVALID, "%s is empty or too long", name);
	else
		snprintf(ret_text, bytes, "%s", json_string_value(value));
	for (const char *at = ret_text; *at; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f)
			return admin_fail(request, ADMIN_INVALID, "%s has a control character", name);
	}
	return 0;
}

int admin_number(struct admin_request *request, const char *name, uint64_t minimum, uint64_t maximum,
		 uint64_t *ret_number)
{
	char text[32];

	if (admin_text(request, name, text, sizeof(text)) < 0)
		return -1;
	if (!number_parse(text, 10, minimum, maximum, ret_number))
		return admin_fail(request, ADMIN_INVALID, "%s: \"%s\" is no number from %llu to %llu", name, text,
				  (unsigned long long)minimum, (unsigned long long)maximum);
	return 0;
}

int admin_pool_letter(struct admin_request *request, const char *name, char *ret_pool)
{
	char text[ADMIN_VALUE_BYTES];

	if (admin_text(request, name, text, sizeof(text)) < 0)
		return -1;
	if (text[0] < 'A' || text[0] > 'Z' || text[1])
		return admin_fail(request, ADMIN_INVALID, "%s: \"%s\" is none of A to Z", name, text);
	*ret_pool = text[0];
	return 0;
}

const char *admin_priority_name(int64_t priority)
{
	static const char *const names[] = {"low", "medium", "high"};

	return priority >= 0 && priority < 3 ? names[priority] : "";
}

json_t *admin_string(const char *text)
{
	json_t *string = json_string(text);
	char ascii[sizeof(((struct admin_request *)0)->error)];

	if (string)
		return string;
	log_text_copy(ascii, sizeof(ascii), text, strlen(text));
	return json_string(ascii);
}

json_t *admin_time(int64_t seconds)
{
	struct tm parts;
	char text[32] = "";
	time_t when = seconds;

	if (seconds && gmtime_r(&when, &parts))
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
	return json_string(text);
}

const char *admin_live_name(const struct mediator *mediator, uint32_t vm_id)
{
	const struct session *session;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->kind == SESSION_DEVICE && session->vm_id == vm_id && session->socket >= 0)
			return session->name;
	}
	return "";
}

/* The connected VM of that name, where the database knows none. */
static enum store_result live_find(const struct mediator *mediator, const char *name, char *ret_key, size_t bytes)
{
	const struct session *session;
	enum store_result result = STORE_NONE;

	LIST_FOREACH(session, &mediator->sessions, link)
	{
		if (session->kind != SESSION_DEVICE || session->socket < 0 || strcmp(session->name, name) != 0)
			continue;
		if (result == STORE_DONE)
			return STORE_CONFLICT;
		snprintf(ret_key, bytes, "vm:%u", session->vm_id);
		result = STORE_DONE;
	}
	return result;
}

/* "user:1000", "program:name"; "vm:3" is only one that is there. */
static bool is_local_key(const char *text)
{
	if (strncmp(text, "program:", 8) == 0)
		return text[8] && strlen(text) < STORE_KEY_BYTES;
	/* As the mediator writes it, so that one user has one key. */
	return strncmp(text, "user:", 5) == 0 && text[5] && !text[5 + strspn(text + 5, "0123456789")] &&
	       strlen(text + 5) <= 10 && (text[5] != '0' || !text[6]);
}

int admin_tenant(struct admin_request *request, struct store_tenant *ret_tenant)
{
	char text[ADMIN_VALUE_BYTES];
	char key[ADMIN_VALUE_BYTES + 8];
	enum store_result result;

	if (admin_text(request, "vm", text, sizeof(text)) < 0)
		return -1;
	result = store_tenant_find(request->mediator->store, text, ret_tenant);
	if (result == STORE_CONFLICT)
		return admin_fail(request, ADMIN_CONFLICT, "%s: several VMs have that name: give the vm_id", text);
	if (result != STORE_NONE)
		return admin_store_check(request, result, text);
	snprintf(key, sizeof(key), "%s%s", text[strspn(text, "0123456789")] ? "" : "vm:", text);
	if (!is_local_key(key) && !tenant_find(request->mediator, key)) {
		result = live_find(request->mediator, text, key, sizeof(key));
		if (result == STORE_CONFLICT)
			return admin_fail(request, ADMIN_CONFLICT, "%s: several VMs have that name: give the vm_id",
					  text);
		if (result == STORE_NONE)
			return admin_fail(request, ADMIN_NOT_FOUND, "%s: no such VM is registered or connected", text);
	}
	store_tenant_init(ret_tenant, key);
	return 0;
}

static const struct admin_command *command_find(const char *name)
{
	const struct admin_command *const tables[] = {admin_list_commands, admin_vm_commands, admin_pool_commands,
						      admin_show_commands, admin_usage_commands};

	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		for (const struct admin_command *command = tables[i]; command->name; command++) {
			if (strcmp(command->name, name) == 0)
				return command;
		}
	}
	return NULL;
}

/* Is the word one of those, each of which ends with a space? */
static bool word_is_known(const char *words, const char *name)
{
	size_t length = strlen(name);

	for (const char *word = words; *word; word += strcspn(word, " ") + 1) {
		if (strcspn(word, " ") == length && memcmp(word, name, length) == 0)
			return true;
	}
	return false;
}

/* What a command does not know is a mistake, and not to be passed over. */
static int arguments_check(struct admin_request *request, const struct admin_command *command)
{
	const json_t *value;
	const char *name;

	json_object_foreach((json_t *)(uintptr_t)request->arguments, name, value)
	{
		if (!word_is_known(command->arguments, name))
			return admin_fail(request, ADMIN_INVALID, "%s has no argument \"%.64s\"", command->name, name);
		if (!json_is_string(value) && !json_is_integer(value))
			return admin_fail(request, ADMIN_INVALID, "%s is neither text nor a whole number", name);
	}
	return 0;
}

static int reader_refuse(struct admin_request *request, const struct admin_peer *peer, const char *name)
{
	log_write_limited(peer->log, LOG_LEVEL_WARNING, "[ADMIN] refused: %s may only look: %s", peer->who, name);
	return admin_fail(request, ADMIN_DENIED, "%s changes something, and you may only look", name);
}

static int request_run(struct admin_request *request, const struct admin_peer *peer, const json_t *root)
{
	const char *name = json_string_value(json_object_get(root, "command"));
	const json_t *arguments = json_object_get(root, "arguments");
	const struct admin_command *command;

	if (!name)
		return admin_fail(request, ADMIN_INVALID, "the request is no object with a \"command\"");
	if (arguments && !json_is_object(arguments))
		return admin_fail(request, ADMIN_INVALID, "\"arguments\" is no object");
	command = command_find(name);
	if (!command)
		return admin_fail(request, ADMIN_INVALID, "there is no command \"%.64s\"", name);
	if (!peer->may_change && !command->only_looks)
		return reader_refuse(request, peer, command->name);
	request->arguments = arguments;
	if (arguments_check(request, command) < 0)
		return -1;
	return command->handler(request);
}

static char *answer_make(json_t *answer)
{
	char *text = answer ? json_dumps(answer, JSON_COMPACT) : NULL;

	json_decref(answer);
	return text;
}

char *admin_refusal(const char *code, const char *text)
{
	return answer_make(json_pack("{s:b, s:s, s:o}", "ok", 0, "code", code, "error", admin_string(text)));
}

char *admin_request_take(struct mediator *mediator, const struct admin_peer *peer, const char *line, size_t bytes)
{
	struct admin_request request = {.mediator = mediator, .who = peer->who, .code = ADMIN_FAILED};
	json_error_t error;
	json_t *root = json_loadb(line, bytes, JSON_REJECT_DUPLICATES, &error);
	char *answer;

	if (!root)
		return admin_refusal(ADMIN_INVALID, "the request is not JSON");
	if (request_run(&request, peer, root) < 0) {
		json_decref(request.result);
		answer = admin_refusal(request.code, request.error);
	} else {
		if (!request.result)
			request.result = json_object();
		if (request.warnings)
			json_object_set(request.result, "warnings", request.warnings);
		answer = answer_make(json_pack("{s:b, s:o}", "ok", 1, "result", request.result));
	}
	json_decref(request.warnings);
	json_decref(root);
	return answer;
}
