/* SPDX-License-Identifier: Apache-2.0 */
#include "visible.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "log.h"
#include "vgpu_wire.h"

#define VARIABLE "CUDA_VISIBLE_DEVICES"

struct entry {
	const char *text;
	size_t length;
};

/* The entry at *list, without blanks around it; *list is moved behind its comma. False: there is none. */
static bool entry_next(const char **list, struct entry *ret_entry)
{
	const char *at = *list;
	size_t length;

	if (!at)
		return false;
	length = strcspn(at, ",");
	*list = at[length] ? at + length + 1 : NULL;
	while (length && isspace((unsigned char)*at)) {
		at++;
		length--;
	}
	while (length && isspace((unsigned char)at[length - 1]))
		length--;
	*ret_entry = (struct entry){at, length};
	return length > 0;
}

static bool is_number(const struct entry *entry)
{
	for (size_t i = 0; i < entry->length; i++)
		if (!isdigit((unsigned char)entry->text[i]))
			return false;
	return entry->length > 0 && entry->length < 5;
}

/* One is the beginning of the other, as UUIDs may be shortened. */
static bool is_same_device(const struct entry *one, const struct entry *other)
{
	return strncasecmp(one->text, other->text, one->length < other->length ? one->length : other->length) == 0;
}

/* Which of the entries of 'list' the wish means; false: none. */
static bool entry_find(const char *list, const struct entry *wish, struct entry *ret_entry)
{
	unsigned long wanted = is_number(wish) ? strtoul(wish->text, NULL, 10) : 0;

	for (unsigned long number = 0; entry_next(&list, ret_entry); number++) {
		if (is_number(wish) ? number == wanted : !is_number(ret_entry) && is_same_device(wish, ret_entry))
			return true;
	}
	return false;
}

/* What of the wish is in the list, in the wish's order; the first entry that is not ends it, as with the driver. */
static void wish_restrict(const char *list, const char *wish, char ret_text[VGPU_VISIBLE_BYTES_MAX])
{
	struct entry wanted, found;
	size_t used = 0;

	ret_text[0] = '\0';
	while (entry_next(&wish, &wanted) && entry_find(list, &wanted, &found)) {
		if (used + found.length + 2 > VGPU_VISIBLE_BYTES_MAX)
			return;
		if (used)
			ret_text[used++] = ',';
		memcpy(ret_text + used, found.text, found.length);
		used += found.length;
		ret_text[used] = '\0';
	}
}

void visible_devices_wish(const char *wish, size_t bytes)
{
	const char *list = getenv(VARIABLE);
	char text[VGPU_VISIBLE_BYTES_MAX], restricted[VGPU_VISIBLE_BYTES_MAX];
	size_t length = strnlen(wish, bytes < sizeof(text) ? bytes : sizeof(text) - 1);

	memcpy(text, wish, length);
	text[length] = '\0';
	for (size_t i = 0; i < length; i++) {
		/* Nothing that names a device: the list ends before it. */
		if (!isalnum((unsigned char)text[i]) && !strchr(",-/ ", text[i]))
			text[i] = '\0';
	}
	if (list)
		wish_restrict(list, text, restricted);
	if (setenv(VARIABLE, list ? restricted : text, 1) < 0)
		log_write("CUDA_VISIBLE_DEVICES of the program is not followed: out of memory");
}
