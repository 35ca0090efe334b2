/* SPDX-License-Identifier: Apache-2.0 */
#include "builtin.h"
#include "control.h"
#include "engine_private.h"
#include "format.h"
#include "ptx.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	TEXT_BYTES_MAX = 4096,
};

static const struct {
	const char *name;
	uint32_t argument_count;
	uint32_t argument_bytes[5];
	uint32_t return_bytes;
} builtins[] = {
	[BUILTIN_VPRINTF] = {"vprintf", 2, {8, 8}, 4},
	[BUILTIN_MALLOC] = {"malloc", 1, {8}, 8},
	[BUILTIN_FREE] = {"free", 1, {8}, 0},
	[BUILTIN_ASSERTFAIL] = {"__assertfail", 5, {8, 8, 4, 8, 8}, 0},
	[BUILTIN_SET_CONDITIONAL] = {"cudaGraphSetConditional", 2, {8, 4}, 0},
};

enum builtin builtin_find(const char *name)
{
	for (unsigned i = BUILTIN_NONE + 1; i < sizeof(builtins) / sizeof(*builtins); i++)
		if (strcmp(builtins[i].name, name) == 0)
			return (enum builtin)i;
	return BUILTIN_NONE;
}

bool builtin_arguments_fit(enum builtin builtin, uint32_t argument_count, uint32_t return_bytes,
			   const uint32_t *argument_bytes)
{
	if (argument_count != builtins[builtin].argument_count || return_bytes > builtins[builtin].return_bytes)
		return false;
	for (uint32_t i = 0; i < argument_count; i++)
		if (argument_bytes[i] != builtins[builtin].argument_bytes[i])
			return false;
	return true;
}

static uint64_t argument_read(struct warp *warp, const struct call_site *site, unsigned lane, unsigned index)
{
	uint64_t value = 0;

	memcpy(&value,
	       warp->local + lane * warp->local_stride + warp->frame->local_base + site->argument_offsets[index],
	       site->argument_bytes[index]);
	return value;
}

static void result_write(struct warp *warp, const struct call_site *site, unsigned lane, uint64_t value)
{
	memcpy(warp->local + lane * warp->local_stride + warp->frame->local_base + site->return_offset, &value,
	       site->return_bytes);
}

/* The device string at the address, cut at bytes_max - 1. */
static void text_read(struct warp *warp, unsigned lane, uint64_t address, char *text, size_t bytes_max)
{
	size_t length = 0;

	while (length + 1 < bytes_max) {
		const char *at = memory_lane_pointer(warp, lane, SPACE_GENERIC, address + length, 1, 1);

		text[length] = *at;
		if (!text[length])
			return;
		length++;
	}
	text[length] = '\0';
}

static void print(struct warp *warp, const char *text, size_t bytes)
{
	struct engine *engine = warp->block->launch->engine;

	if (!engine->config.print || !bytes)
		return;
	pthread_mutex_lock(&engine->print_lock);
	engine->config.print(engine->config.print_user, text, bytes);
	pthread_mutex_unlock(&engine->print_lock);
}

struct format_lane {
	struct warp *warp;
	unsigned lane;
	uint64_t arguments; /* address of the next one */
};

static uint64_t format_argument(void *user, unsigned bytes)
{
	struct format_lane *lane = user;
	uint64_t value = 0;

	/* Arguments lie packed as in a struct: at multiples of their size (CUDA's vprintf). */
	lane->arguments = (lane->arguments + bytes - 1) & ~(uint64_t)(bytes - 1);
	memcpy(&value, memory_lane_pointer(lane->warp, lane->lane, SPACE_GENERIC, lane->arguments, bytes, bytes),
	       bytes);
	lane->arguments += bytes;
	return value;
}

static void format_text(void *user, uint64_t address, char *text, size_t bytes_max)
{
	struct format_lane *lane = user;

	text_read(lane->warp, lane->lane, address, text, bytes_max);
}

static void builtin_vprintf(struct warp *warp, const struct call_site *site)
{
	char format[TEXT_BYTES_MAX], text[TEXT_BYTES_MAX];

	LANES_OF(warp->mask, lane)
	{
		uint64_t format_address = argument_read(warp, site, lane, 0);
		struct format_lane source = {
			.warp = warp,
			.lane = lane,
			.arguments = argument_read(warp, site, lane, 1),
		};
		const struct format_source callbacks = {
			.argument = format_argument,
			.text = format_text,
			.user = &source,
		};
		unsigned conversions = 0;

		text_read(warp, lane, format_address, format, sizeof(format));
		size_t bytes = format_write(text, sizeof(text), format, &callbacks, &conversions);

		print(warp, text, bytes);
		/* CUDA's printf returns the number of arguments. */
		if (site->return_bytes)
			result_write(warp, site, lane, conversions);
	}
}

static void builtin_assertfail(struct warp *warp, const struct call_site *site)
{
	unsigned lane = (unsigned)__builtin_ctz(warp->mask);
	const struct block *block = warp->block;
	const uint32_t *size = block->launch->block;
	uint32_t thread = warp->index * WARP_LANES + lane;
	char message[512], file[512], function[512], text[TEXT_BYTES_MAX];

	text_read(warp, lane, argument_read(warp, site, lane, 0), message, sizeof(message));
	text_read(warp, lane, argument_read(warp, site, lane, 1), file, sizeof(file));
	text_read(warp, lane, argument_read(warp, site, lane, 3), function, sizeof(function));
	int bytes = snprintf(
		text, sizeof(text), "%s:%u: %s: block: [%u,%u,%u], thread: [%u,%u,%u] Assertion `%s` failed.\n", file,
		(unsigned)argument_read(warp, site, lane, 2), function, block->position[0], block->position[1],
		block->position[2], thread % size[0], thread / size[0] % size[1], thread / size[0] / size[1], message);

	print(warp, text, (size_t)bytes);
	exec_fault(warp, ENGINE_FAULT_ASSERT, 0);
}

static void builtin_set_conditional(struct warp *warp, const struct call_site *site)
{
	const struct engine_config *config = &warp->block->launch->engine->config;

	LANES_OF(warp->mask, lane)
	{
		uint64_t handle = argument_read(warp, site, lane, 0);

		if (!config->condition_set || !config->condition_set(config->condition_user, handle,
								     (uint32_t)argument_read(warp, site, lane, 1)))
			exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, handle);
	}
}

void builtin_call(struct warp *warp, const struct instruction *ins)
{
	const struct call_site *site = ins->extra;
	struct heap *heap = warp->block->launch->engine->heap;

	switch (ins->op) {
	case BUILTIN_VPRINTF:
		builtin_vprintf(warp, site);
		break;
	case BUILTIN_MALLOC:
		LANES_OF(warp->mask, lane)
		result_write(warp, site, lane, heap_allocate(heap, argument_read(warp, site, lane, 0)));
		break;
	case BUILTIN_FREE:
		LANES_OF(warp->mask, lane)
		{
			uint64_t address = argument_read(warp, site, lane, 0);

			if (address && !heap_free(heap, address))
				exec_fault(warp, ENGINE_FAULT_ILLEGAL_ADDRESS, address);
		}
		break;
	case BUILTIN_SET_CONDITIONAL:
		builtin_set_conditional(warp, site);
		break;
	default:
		builtin_assertfail(warp, site);
		break;
	}
}
