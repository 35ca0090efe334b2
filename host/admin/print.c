/* SPDX-License-Identifier: Apache-2.0 */
#include "print.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define COLUMNS_MAX 32
#define CELL_BYTES  512

/* Bytes of the character at 'text' that is a control character in UTF-8; 0: it is none. */
static size_t control_bytes(const char *text)
{
	unsigned char first = (unsigned char)text[0];
	unsigned char second = first ? (unsigned char)text[1] : 0;

	if (first < 0x20 || first == 0x7f)
		return 1;
	return first == 0xc2 && second >= 0x80 && second < 0xa0 ? 2 : 0;
}

void print_text(FILE *file, const char *text)
{
	while (*text) {
		size_t control = control_bytes(text);

		fputc(control ? '?' : *text, file);
		text += control ? control : 1;
	}
}

static int width_of(const char *text)
{
	int width = 0;

	for (; *text; text++)
		width += ((unsigned char)*text & 0xc0) != 0x80;
	return width;
}

void print_padded(FILE *file, const char *text, int width)
{
	print_text(file, text);
	for (int i = width_of(text); i < width; i++)
		fputc(' ', file);
}

void print_cut(FILE *file, const char *text, int width)
{
	char cut[CELL_BYTES];
	size_t at = 0;

	for (int columns = 0; text[at] && at + 1 < sizeof(cut); at++) {
		columns += ((unsigned char)text[at] & 0xc0) != 0x80;
		if (columns > width)
			break;
		cut[at] = text[at];
	}
	cut[at] = '\0';
	print_padded(file, cut, width);
}

static void cell_format(const json_t *value, char cell[CELL_BYTES])
{
	switch (value ? json_typeof(value) : JSON_NULL) {
	case JSON_STRING:
		snprintf(cell, CELL_BYTES, "%s", json_string_value(value)[0] ? json_string_value(value) : "-");
		break;
	case JSON_INTEGER:
		snprintf(cell, CELL_BYTES, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(cell, CELL_BYTES, "%.3f", json_real_value(value));
		break;
	case JSON_TRUE:
		snprintf(cell, CELL_BYTES, "yes");
		break;
	case JSON_FALSE:
		snprintf(cell, CELL_BYTES, "no");
		break;
	case JSON_ARRAY:
		snprintf(cell, CELL_BYTES, "%zu", json_array_size(value));
		break;
	default:
		snprintf(cell, CELL_BYTES, "-");
	}
}

static void heading_format(const char *name, char cell[CELL_BYTES])
{
	snprintf(cell, CELL_BYTES, "%s", name);
	for (char *at = cell; *at; at++)
		*at = *at == '_' ? ' ' : (char)toupper((unsigned char)*at);
}

static void table_print(FILE *file, const json_t *rows)
{
	const char *names[COLUMNS_MAX];
	int widths[COLUMNS_MAX];
	char cell[CELL_BYTES];
	const json_t *value;
	const json_t *row;
	const char *name;
	size_t count = 0;
	size_t index;

	json_object_foreach(json_array_get(rows, 0), name, value)
	{
		if (count == COLUMNS_MAX)
			break;
		names[count] = name;
		widths[count++] = (int)strlen(name);
	}
	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cell_format(json_object_get(row, names[i]), cell);
			if (width_of(cell) > widths[i])
				widths[i] = width_of(cell);
		}
	}
	for (size_t i = 0; i < count; i++) {
		heading_format(names[i], cell);
		print_padded(file, cell, i + 1 < count ? widths[i] + 2 : 0);
	}
	fputc('\n', file);
	json_array_foreach(rows, index, row)
	{
		for (size_t i = 0; i < count; i++) {
			cell_format(json_object_get(row, names[i]), cell);
			print_padded(file, cell, i + 1 < count ? widths[i] + 2 : 0);
		}
		fputc('\n', file);
	}
}

static void lines_print(FILE *file, const json_t *object)
{
	const json_t *value;
	char cell[CELL_BYTES];
	const char *name;
	int width = 0;

	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		if (width_of(name) > width)
			width = width_of(name);
	}
	json_object_foreach((json_t *)(uintptr_t)object, name, value)
	{
		snprintf(cell, sizeof(cell), "%s", name);
		for (char *at = cell; *at; at++)
			*at = *at == '_' ? ' ' : *at;
		print_padded(file, cell, width + 2);
		cell_format(value, cell);
		print_text(file, cell);
		fputc('\n', file);
	}
}

void print_result(FILE *file, const json_t *result)
{
	if (json_is_array(result) && json_array_size(result) == 0)
		fprintf(file, "none\n");
	else if (json_is_array(result))
		table_print(file, result);
	else
		lines_print(file, result);
}
