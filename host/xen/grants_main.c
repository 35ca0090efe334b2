/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-xen-grants: CUDA for guests of Xen that have no PCI device of ours, over memory that they grant. Without a
 * domain it starts itself for each guest of the list.
 */
#include <argp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "domain.h"
#include "grants_check.h"
#include "grants_domain.h"
#include "grants_watch.h"
#include "number_option.h"

#define PAGES_OF_A_MEBIBYTE ((1u << 20) / VGPU_GRANTS_PAGE_BYTES)
#define MEBIBYTES_MIN	    (VGPU_GRANTS_PAGES_MIN / PAGES_OF_A_MEBIBYTE)
#define MEBIBYTES_MAX	    (VGPU_GRANTS_PAGES_MAX / PAGES_OF_A_MEBIBYTE)

enum option_key {
	OPTION_LIST = 256,
	OPTION_VM_ID,
	OPTION_POOL,
	OPTION_PRIORITY,
	OPTION_SOCKET,
	OPTION_CHANNELS,
	OPTION_BYTES,
	OPTION_CHECK
};

static const struct argp_option options[] = {
	{"guests", OPTION_LIST, "FILE", 0, "the list of guests (/etc/vgpu/xen-guests)", 0},
	{"socket", OPTION_SOCKET, "PATH", 0,
	 "the mediator's (" VGPU_SOCKET_PATH ", then " VGPU_SOCKET_PATH_FALLBACK ")", 0},
	{"check", OPTION_CHECK, NULL, 0,
	 "start nothing: say what is wrong with the list or options; exit code 2 if anything", 0},
	{NULL, 0, NULL, 0, "For one guest, with DOMID or in its line of the list:", 0},
	{"vm-id", OPTION_VM_ID, "N", 0, "a number that no other VM has (0: the mediator chooses, where allowed)", 0},
	{"pool", OPTION_POOL, "LETTER", 0, "the GPU pool (A)", 0},
	{"priority", OPTION_PRIORITY, "low|medium|high", 0, "medium unless given", 0},
	{"channels", OPTION_CHANNELS, "N", 0, "guest processes at a time (8)", 0},
	{"channel-mib", OPTION_BYTES, "N", 0, "memory that each of them grants (4)", 0},
	{0},
};

struct settings {
	struct grants_domain domain;
	struct grants_watch_settings watch;
	bool checks_only;
};

static uint32_t priority_take(struct argp_state *state, const char *text)
{
	static const char *const priorities[] = {
		[VGPU_PRIORITY_LOW] = "low", [VGPU_PRIORITY_MEDIUM] = "medium", [VGPU_PRIORITY_HIGH] = "high"};

	for (uint32_t i = 0; i < sizeof(priorities) / sizeof(priorities[0]); i++)
		if (strcmp(text, priorities[i]) == 0)
			return i;
	argp_error(state, "a priority is low, medium or high");
	return 0;
}

static error_t option_take(int key, char *text, struct argp_state *state)
{
	struct settings *settings = state->input;
	struct grants_domain *domain = &settings->domain;

	switch (key) {
	case OPTION_LIST:
		settings->watch.list = text;
		break;
	case OPTION_SOCKET:
		settings->watch.socket_path = domain->socket_path = text;
		break;
	case OPTION_VM_ID:
		domain->vm_id = number_option_take(state, "--vm-id", text, 0, UINT32_MAX);
		break;
	case OPTION_POOL:
		if (*text < 'A' || *text > 'Z' || text[1])
			argp_error(state, "a pool is one letter, A to Z");
		domain->pool_id = (uint32_t)*text;
		break;
	case OPTION_PRIORITY:
		domain->priority = priority_take(state, text);
		break;
	case OPTION_CHANNELS:
		domain->channel_count = number_option_take(state, "--channels", text, 1, VGPU_CHANNELS_MAX);
		break;
	case OPTION_BYTES:
		domain->pages = number_option_take(state, "--channel-mib", text, MEBIBYTES_MIN, MEBIBYTES_MAX) *
				PAGES_OF_A_MEBIBYTE;
		break;
	case OPTION_CHECK:
		settings->checks_only = true;
		break;
	case ARGP_KEY_ARG:
		if (state->arg_num > 0)
			argp_usage(state);
		domain->domain = number_option_take(state, "DOMID", text, 1, DOMAIN_MAX);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int main(int count, char **arguments)
{
	static const struct argp parser = {
		.options = options,
		.parser = option_take,
		.args_doc = "[DOMID]",
		.doc = "Gives PV and PVH guests of Xen the mediator's GPUs, over memory that they grant. With DOMID it "
		       "serves that guest and ends with it, else it starts itself for each guest of the list that "
		       "has the word \"grants\" in the place of a PCI slot.",
	};
	static struct settings settings = {
		.domain = {.pool_id = 'A',
			   .priority = VGPU_PRIORITY_MEDIUM,
			   .channel_count = 8,
			   .pages = VGPU_GRANTS_PAGES_MIN,
			   .grants = -1,
			   .own_grants = -1},
		.watch = {.list = "/etc/vgpu/xen-guests"},
	};

	argp_err_exit_status = GRANTS_EXIT_WRONG;
	argp_program_version = "vgpu-xen-grants " VGPU_VERSION;
	if (argp_parse(&parser, count, arguments, 0, NULL, &settings))
		return EXIT_FAILURE;
	if (settings.checks_only)
		return settings.domain.domain ? EXIT_SUCCESS : grants_check(settings.watch.list);
	return settings.domain.domain ? grants_serve(&settings.domain) : grants_watch_run(&settings.watch);
}
