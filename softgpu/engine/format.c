/* SPDX-License-Identifier: Apache-2.0 */
#include "format.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum {
	SPECIFICATION_BYTES = 64,
	FIELD_WIDTH_MAX = 512,
	ARGUMENT_TEXT_BYTES = 1024,
};

struct output {
	char *at;
	size_t left;
	size_t written;
};

static void output_append(struct output *output, const char *text, size_t bytes)
{
	if (bytes > output->left)
		bytes = output->left;
	memcpy(output->at, text, bytes);
	output->at += bytes;
	output->left -= bytes;
	output->written += bytes;
}

/* Reads digits or '*' into a number that is at most FIELD_WIDTH_MAX. */
static const char *number_read(const char *at, const struct format_source *source, int *ret_number)
{
	int number = 0;

	if (*at == '*') {
		number = (int)(int32_t)source->argument(source->user, 4);
		at++;
	} else {
		while (*at >= '0' && *at <= '9') {
			if (number <= FIELD_WIDTH_MAX)
				number = number * 10 + (*at - '0');
			at++;
		}
	}
	*ret_number = number > FIELD_WIDTH_MAX	  ? FIELD_WIDTH_MAX
		      : number < -FIELD_WIDTH_MAX ? -FIELD_WIDTH_MAX
						  : number;
	return at;
}

struct specification {
	char flags[8];
	int width, precision;
	bool has_width, has_precision;
	unsigned longs, shorts;
	char conversion;
};

static const char *specification_read(const char *at, const struct format_source *source, struct specification *spec)
{
	size_t flags = 0;

	memset(spec, 0, sizeof(*spec));
	while (*at && strchr("-+ #0", *at)) {
		if (flags + 1 < sizeof(spec->flags) && !strchr(spec->flags, *at))
			spec->flags[flags++] = *at;
		at++;
	}
	if (*at == '*' || (*at >= '1' && *at <= '9')) {
		spec->has_width = true;
		at = number_read(at, source, &spec->width);
	}
	if (*at == '.') {
		spec->has_precision = true;
		at = number_read(at + 1, source, &spec->precision);
	}
	for (; *at == 'l' || *at == 'h' || *at == 'z' || *at == 'j' || *at == 't'; at++) {
		if (*at == 'h')
			spec->shorts++;
		else
			spec->longs++;
	}
	spec->conversion = *at;
	return *at ? at + 1 : at;
}

/* "%-08.3ll" and the conversion, from checked parts only. */
static void specification_build(const struct specification *spec, const char *length, char *text)
{
	char width[16] = "", precision[16] = "";

	if (spec->has_width)
		snprintf(width, sizeof(width), "%d", spec->width < 0 ? -spec->width : spec->width);
	if (spec->has_precision && spec->precision >= 0)
		snprintf(precision, sizeof(precision), ".%d", spec->precision);
	snprintf(text, SPECIFICATION_BYTES, "%%%s%s%s%s%s%c", spec->flags,
		 spec->has_width && spec->width < 0 && !strchr(spec->flags, '-') ? "-" : "", width, precision, length,
		 spec->conversion);
}

#pragma GCC diagnostic push
/* The format is built above from a known conversion and the argument is of its type. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

static int integer_write(const struct specification *spec, uint64_t value, char *text, size_t bytes)
{
	char format[SPECIFICATION_BYTES];
	bool is_signed = spec->conversion == 'd' || spec->conversion == 'i';

	specification_build(spec, "ll", format);
	if (!spec->longs && is_signed)
		value = (uint64_t)(int64_t)(int32_t)value;
	if (spec->shorts == 1)
		value = is_signed ? (uint64_t)(int64_t)(int16_t)value : (uint16_t)value;
	if (spec->shorts > 1)
		value = is_signed ? (uint64_t)(int64_t)(int8_t)value : (uint8_t)value;
	return snprintf(text, bytes, format, (long long)value);
}

static int double_write(const struct specification *spec, uint64_t bits, char *text, size_t bytes)
{
	char format[SPECIFICATION_BYTES];
	double value;

	memcpy(&value, &bits, sizeof(value));
	specification_build(spec, "", format);
	return snprintf(text, bytes, format, value);
}

static int string_write(const struct specification *spec, const char *string, char *text, size_t bytes)
{
	char format[SPECIFICATION_BYTES];

	specification_build(spec, "", format);
	return snprintf(text, bytes, format, string);
}

static int character_write(const struct specification *spec, int character, char *text, size_t bytes)
{
	char format[SPECIFICATION_BYTES];

	specification_build(spec, "", format);
	return snprintf(text, bytes, format, character);
}

static int pointer_write(const struct specification *spec, uint64_t value, char *text, size_t bytes)
{
	char format[SPECIFICATION_BYTES];

	specification_build(spec, "", format);
	return snprintf(text, bytes, format, (void *)(uintptr_t)value);
}

#pragma GCC diagnostic pop

static int conversion_write(const struct specification *spec, const struct format_source *source, char *text,
			    size_t bytes)
{
	char string[ARGUMENT_TEXT_BYTES];

	switch (spec->conversion) {
	case 'd':
	case 'i':
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		return integer_write(spec, source->argument(source->user, spec->longs ? 8 : 4), text, bytes);
	case 'c':
		return character_write(spec, (int)source->argument(source->user, 4), text, bytes);
	case 'p':
		return pointer_write(spec, source->argument(source->user, 8), text, bytes);
	case 's':
		source->text(source->user, source->argument(source->user, 8), string, sizeof(string));
		return string_write(spec, string, text, bytes);
	case 'f':
	case 'F':
	case 'e':
	case 'E':
	case 'g':
	case 'G':
	case 'a':
	case 'A':
		return double_write(spec, source->argument(source->user, 8), text, bytes);
	default:
		return -1;
	}
}

size_t format_write(char *out, size_t bytes_max, const char *format, const struct format_source *source,
		    unsigned *ret_conversions)
{
	struct output output = {.at = out, .left = bytes_max};
	unsigned conversions = 0;

	while (*format) {
		struct specification spec;
		char text[ARGUMENT_TEXT_BYTES + FIELD_WIDTH_MAX];
		const char *start = format;
		size_t plain = strcspn(format, "%");

		if (plain) {
			output_append(&output, format, plain);
			format += plain;
			continue;
		}
		if (format[1] == '%') {
			output_append(&output, "%", 1);
			format += 2;
			continue;
		}
		format = specification_read(format + 1, source, &spec);
		int bytes = conversion_write(&spec, source, text, sizeof(text));

		if (bytes < 0) {
			/* No conversion that we know: its text stands for itself. */
			output_append(&output, start, (size_t)(format - start));
			continue;
		}
		output_append(&output, text, (size_t)bytes < sizeof(text) ? (size_t)bytes : sizeof(text) - 1);
		conversions++;
	}
	*ret_conversions = conversions;
	return output.written;
}
