/* SPDX-License-Identifier: Apache-2.0 */
#include "log_record.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define JOURNAL_SOCKET "/run/systemd/journal/socket"
#define CONNECTION     "New connection: "

/* Where the text goes on behind "NAME=NUMBER "; NULL: it does not begin so. */
static const char *number_take(const char *text, const char *name, uint32_t *ret_number)
{
	size_t length = strlen(name);
	unsigned long long number;
	char *end;

	if (strncmp(text, name, length) != 0 || !isdigit((unsigned char)text[length]))
		return NULL;
	errno = 0;
	number = strtoull(text + length, &end, 10);
	if (errno || number > UINT32_MAX)
		return NULL;
	*ret_number = (uint32_t)number;
	return end + strspn(end, " ");
}

void log_record_parse(struct log_record *record, const char *text)
{
	size_t length = text[0] == '[' ? strspn(text + 1, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") : 0;
	const char *behind;

	record->text = text;
	snprintf(record->event, sizeof(record->event), "general");
	record->has_vm = record->has_user = false;
	if (!length || length >= sizeof(record->event) || text[length + 1] != ']')
		return;
	for (size_t i = 0; i < length; i++)
		record->event[i] = (char)tolower((unsigned char)text[1 + i]);
	record->event[length] = '\0';
	text += length + 2;
	text += strspn(text, " ");
	if (strncmp(text, CONNECTION, strlen(CONNECTION)) == 0)
		text += strlen(CONNECTION);
	behind = number_take(text, "vm_id=", &record->vm_id);
	/* 0 is no VM: a local program. */
	record->has_vm = behind && record->vm_id != 0;
	record->has_user = number_take(behind ? behind : text, "uid=", &record->user) && !record->has_vm;
}

static size_t json_text(const char *text, char *target)
{
	size_t at = 0;

	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			target[at++] = '\\';
		target[at++] = *text;
	}
	return at;
}

size_t log_record_json(const struct log_record *record, const char *time, char line[LOG_RECORD_BYTES])
{
	size_t at = (size_t)snprintf(line, LOG_RECORD_BYTES, "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s\"", time,
				     record->level, record->event);

	if (record->has_vm)
		at += (size_t)snprintf(line + at, LOG_RECORD_BYTES - at, ",\"vm_id\":%u", record->vm_id);
	if (record->has_user)
		at += (size_t)snprintf(line + at, LOG_RECORD_BYTES - at, ",\"uid\":%u", record->user);
	if (record->pool)
		at += (size_t)snprintf(line + at, LOG_RECORD_BYTES - at, ",\"pool\":\"%c\"", record->pool);
	at += (size_t)snprintf(line + at, LOG_RECORD_BYTES - at, ",\"message\":\"");
	at += json_text(record->text, line + at);
	at += (size_t)snprintf(line + at, LOG_RECORD_BYTES - at, "\"}");
	return at;
}

/* https://systemd.io/JOURNAL_NATIVE_PROTOCOL/: a line for each field, for no value has a newline. */
bool log_record_send(const struct log_record *record, int socket)
{
	static const struct sockaddr_un journal = {.sun_family = AF_UNIX, .sun_path = JOURNAL_SOCKET};
	char datagram[LOG_RECORD_BYTES];
	size_t at = (size_t)snprintf(datagram, sizeof(datagram),
				     "MESSAGE=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nVGPU_EVENT=%s\n", record->text,
				     record->priority, program_invocation_short_name, record->event);

	if (record->has_vm)
		at += (size_t)snprintf(datagram + at, sizeof(datagram) - at, "VGPU_VM=%u\n", record->vm_id);
	if (record->has_user)
		at += (size_t)snprintf(datagram + at, sizeof(datagram) - at, "VGPU_UID=%u\n", record->user);
	if (record->pool)
		at += (size_t)snprintf(datagram + at, sizeof(datagram) - at, "VGPU_POOL=%c\n", record->pool);
	return sendto(socket, datagram, at, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)&journal,
		      sizeof(journal)) == (ssize_t)at;
}
