/* SPDX-License-Identifier: Apache-2.0 */
#include "top.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "print.h"

#define MEBIBYTE 1048576.0
/* Home, then each line clears its rest, and the end what is below: no flicker. A narrow terminal cuts lines. */
#define SCREEN_BEGIN  "\033[H"
#define LINE_END      "\033[K\n"
#define SCREEN_END    "\033[J"
#define TERMINAL_TAKE "\033[?25l\033[?7l\033[2J"
#define TERMINAL_GIVE "\033[?7h\033[?25h"

/* What changed between two looks at a tenant. */
struct row {
	const json_t *now;
	double share; /* of the GPU time that was shared out; below 0: nobody had to share */
	double wait_ms;
	double commands;
	double mebibytes;
};

static volatile sig_atomic_t interrupted;

static void interrupt(int number)
{
	(void)number;
	interrupted = 1;
}

static double number(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static const char *text(const json_t *object, const char *name)
{
	const char *value = json_string_value(json_object_get(object, name));

	return value ? value : "";
}

static const json_t *tenant_of(const json_t *usage, const char *name)
{
	const json_t *tenants = json_object_get(usage, "tenants");
	const json_t *tenant;
	size_t index;

	json_array_foreach(tenants, index, tenant)
	{
		if (strcmp(text(tenant, "tenant"), name) == 0)
			return tenant;
	}
	return NULL;
}

/* A tenant that has come back counts from 0 again. */
static double grown(const json_t *before, const json_t *now, const char *name)
{
	double change = number(now, name) - (before ? number(before, name) : 0);

	return change > 0 ? change : 0;
}

static int rows_compare(const void *one, const void *other)
{
	const struct row *first = one;
	const struct row *second = other;

	if (first->share != second->share)
		return first->share < second->share ? 1 : -1;
	if (first->commands != second->commands)
		return first->commands < second->commands ? 1 : -1;
	return strcmp(text(first->now, "tenant"), text(second->now, "tenant"));
}

/* NULL: out of memory, or no tenants. */
static struct row *rows_make(const json_t *before, const json_t *now, size_t *ret_count)
{
	const json_t *tenants = json_object_get(now, "tenants");
	size_t count = json_array_size(tenants);
	struct row *rows = count ? calloc(count, sizeof(*rows)) : NULL;
	double seconds = grown(before, now, "time_ns") / 1e9;
	double used = 0;

	*ret_count = rows ? count : 0;
	for (size_t i = 0; i < *ret_count; i++) {
		const json_t *tenant = json_array_get(tenants, i);
		const json_t *earlier = tenant_of(before, text(tenant, "tenant"));
		double waits = grown(earlier, tenant, "waits");

		rows[i].now = tenant;
		rows[i].share = grown(earlier, tenant, "gpu_ns");
		rows[i].wait_ms = waits > 0 ? grown(earlier, tenant, "wait_ns") / waits / 1e6 : 0;
		rows[i].commands = seconds > 0 ? grown(earlier, tenant, "commands") / seconds : 0;
		rows[i].mebibytes = seconds > 0 ? grown(earlier, tenant, "bytes") / seconds / MEBIBYTE : 0;
		used += rows[i].share;
	}
	for (size_t i = 0; i < *ret_count; i++)
		rows[i].share = used > 0 ? rows[i].share / used : -1;
	if (rows)
		qsort(rows, *ret_count, sizeof(*rows), rows_compare);
	return rows;
}

static const char *state_of(const struct row *row)
{
	if (number(row->now, "quarantined") != 0)
		return "quarantined";
	if (json_is_true(json_object_get(row->now, "waiting")))
		return "waits";
	if (json_is_true(json_object_get(row->now, "has_gpu")))
		return row->share < 0 ? "alone" : "has GPU";
	return number(row->now, "programs") > 0 ? "idle" : "-";
}

static void row_print(const struct row *row, const char *end)
{
	char memory[64];
	char share[16] = "-";
	double limit = number(row->now, "memory_limit");

	if (row->share >= 0)
		snprintf(share, sizeof(share), "%.1f%%", 100 * row->share);
	if (limit > 0)
		snprintf(memory, sizeof(memory), "%.0f/%.0f", number(row->now, "memory_bytes") / MEBIBYTE,
			 limit / MEBIBYTE);
	else
		snprintf(memory, sizeof(memory), "%.0f", number(row->now, "memory_bytes") / MEBIBYTE);
	print_padded(stdout, text(row->now, "tenant"), 16);
	printf(" ");
	print_padded(stdout, text(row->now, "name"), 10);
	printf(" %-11s %-6s %3.0f %7s %6.1f%% %8.2f %5.0f %13s %4.0f %9.0f %8.1f %6.0f %6.0f%s", state_of(row),
	       text(row->now, "priority"), number(row->now, "weight"), share, 100 * number(row->now, "entitlement"),
	       row->wait_ms, number(row->now, "in_flight"), memory, number(row->now, "programs"), row->commands,
	       row->mebibytes, number(row->now, "errors"), number(row->now, "refused"), end);
}

static void screen_print(const json_t *before, const json_t *now, size_t lines_max, const char *end)
{
	const json_t *gpus = json_object_get(now, "gpus");
	const json_t *gpu;
	size_t index;
	size_t count;
	struct row *rows = rows_make(before, now, &count);

	printf("up %.0f s, %zu tenants, %.0f changes of tenant on the GPU%s", number(now, "uptime_seconds"), count,
	       grown(before, now, "switches"), end);
	json_array_foreach(gpus, index, gpu)
	{
		printf("GPU %.0f: policy %s, %.0f programs of %.0f tenants, %.0f wait%s", number(gpu, "gpu"),
		       text(gpu, "policy"), number(gpu, "programs"), number(gpu, "tenants"), number(gpu, "waiting"),
		       end);
	}
	printf("%s%-16s %-10s %-11s %-6s %3s %7s %7s %8s %5s %13s %4s %9s %8s %6s %6s%s", end, "TENANT", "NAME",
	       "STATE", "PRIO", "WT", "SHARE", "ENTITL", "WAIT ms", "QUEUE", "MEMORY MiB", "PROG", "COMMAND/s", "MiB/s",
	       "ERRORS", "REFUSD", end);
	for (size_t i = 0; i < count && i < lines_max; i++)
		row_print(&rows[i], end);
	if (count > lines_max)
		printf("and %zu more%s", count - lines_max, end);
	free(rows);
}

static void json_print(const json_t *before, const json_t *now)
{
	size_t count;
	struct row *rows = rows_make(before, now, &count);
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		json_t *row = json_copy((json_t *)(uintptr_t)rows[i].now);

		json_object_set_new(row, "share", rows[i].share < 0 ? json_null() : json_real(rows[i].share));
		json_object_set_new(row, "wait_ms", json_real(rows[i].wait_ms));
		json_object_set_new(row, "commands_per_second", json_real(rows[i].commands));
		json_object_set_new(row, "mib_per_second", json_real(rows[i].mebibytes));
		json_array_append_new(list, row);
	}
	json_dumpf(list, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(list);
	free(rows);
}

static size_t lines_of_screen(void)
{
	struct winsize size;

	/* Above the tenants' lines: the head, a GPU or two, headings. */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 10)
		return SIZE_MAX;
	return size.ws_row - 7u;
}

static void pause_for(double seconds)
{
	struct timespec time = {.tv_sec = (time_t)seconds,
				.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};

	/* A signal ends it, and the loop then. */
	nanosleep(&time, NULL);
}

enum exit_code top_run(struct client *client, double seconds, bool once, bool as_json)
{
	const struct sigaction action = {.sa_handler = interrupt};
	bool is_screen = !once && !as_json && isatty(STDOUT_FILENO);
	json_t *none = json_object();
	json_t *before = NULL;
	json_t *now = NULL;
	enum exit_code code = client_request(client, "show-usage", none, &before);

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	if (code == EXIT_DONE && is_screen)
		printf(TERMINAL_TAKE);
	while (code == EXIT_DONE && !interrupted) {
		pause_for(seconds);
		if (interrupted)
			break;
		code = client_request(client, "show-usage", none, &now);
		if (code != EXIT_DONE)
			break;
		if (as_json) {
			json_print(before, now);
		} else {
			printf("%s", is_screen ? SCREEN_BEGIN : "");
			screen_print(before, now, is_screen ? lines_of_screen() : SIZE_MAX,
				     is_screen ? LINE_END : "\n");
			printf("%s", is_screen ? SCREEN_END : "");
			fflush(stdout);
		}
		json_decref(before);
		before = now;
		now = NULL;
		if (once || ferror(stdout))
			break;
	}
	if (is_screen)
		printf(TERMINAL_GIVE);
	json_decref(before);
	json_decref(none);
	return code;
}
