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

#define MEBIBYTE    1048576.0
#define BUCKETS_MAX 32
#define SHORT_BYTES 16 /* of a number with its unit */
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
	double wait_p50; /* seconds; below 0: it did not wait */
	double wait_p99;
	double call_p50; /* the same, of its calls on the host */
	double call_p99;
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

/* By linear interpolation in its bucket, of what was counted between the two; below 0: nothing was. */
static double quantile(const json_t *before, const json_t *now, const char *name, const json_t *bounds, double part)
{
	const json_t *buckets = json_object_get(now, name);
	const json_t *earlier = json_object_get(before, name);
	size_t count = json_array_size(buckets);
	double changes[BUCKETS_MAX];
	double below = 0, all = 0, start = 0;

	if (count > BUCKETS_MAX)
		return -1;
	for (size_t i = 0; i < count; i++) {
		double change =
			json_number_value(json_array_get(buckets, i)) - json_number_value(json_array_get(earlier, i));

		changes[i] = change > 0 ? change : 0;
		all += changes[i];
	}
	if (all <= 0)
		return -1;
	for (size_t i = 0; i < json_array_size(bounds) && i < count; i++) {
		double end = json_number_value(json_array_get(bounds, i));

		if (changes[i] > 0 && below + changes[i] >= part * all)
			return start + (end - start) * (part * all - below) / changes[i];
		below += changes[i];
		start = end;
	}
	return start;
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
	const json_t *wait_bounds = json_object_get(now, "wait_bounds");
	const json_t *call_bounds = json_object_get(now, "call_bounds");
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
		rows[i].wait_p50 = quantile(earlier, tenant, "wait_buckets", wait_bounds, 0.5);
		rows[i].wait_p99 = quantile(earlier, tenant, "wait_buckets", wait_bounds, 0.99);
		rows[i].call_p50 = quantile(earlier, tenant, "call_buckets", call_bounds, 0.5);
		rows[i].call_p99 = quantile(earlier, tenant, "call_buckets", call_bounds, 0.99);
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
		return "quar.";
	if (json_is_true(json_object_get(row->now, "waiting")))
		return "waits";
	if (json_is_true(json_object_get(row->now, "has_gpu")))
		return row->share < 0 ? "alone" : "GPU";
	return number(row->now, "programs") > 0 ? "idle" : "-";
}

/* With two or three digits and the unit that fits: five characters. NULL ends the units. */
static const char *shorten(char text[SHORT_BYTES], double value, double step, const char *const *units)
{
	while (value >= 999.5 && units[1]) {
		value /= step;
		units++;
	}
	snprintf(text, SHORT_BYTES, value < 9.95 && value != (double)(long)value ? "%.1f%s" : "%.0f%s", value, *units);
	return text;
}

static const char *shorten_time(char text[SHORT_BYTES], double seconds)
{
	static const char *const units[] = {"us", "ms", "s", NULL};

	return seconds < 0 ? "-" : shorten(text, seconds * 1e6, 1000, units);
}

static const char *shorten_bytes(char text[SHORT_BYTES], double bytes)
{
	static const char *const units[] = {"", "K", "M", "G", "T", NULL};

	return shorten(text, bytes, 1024, units);
}

static const char *shorten_count(char text[SHORT_BYTES], double count)
{
	static const char *const units[] = {"", "k", "M", "G", NULL};

	return shorten(text, count, 1000, units);
}

/* A tenant's line, of the columns of screen_print(). */
static void row_print(const struct row *row, const char *end)
{
	char texts[8][SHORT_BYTES];
	char memory[2 * SHORT_BYTES];
	char tenant[64];
	char weight[16];
	char share[16] = "-";
	double limit = number(row->now, "memory_limit");
	const char *priority = text(row->now, "priority");

	if (row->share >= 0)
		snprintf(share, sizeof(share), "%.1f%%", 100 * row->share);
	snprintf(memory, sizeof(memory), "%s%s%s", shorten_bytes(texts[0], number(row->now, "memory_bytes")),
		 limit > 0 ? "/" : "", limit > 0 ? shorten_bytes(texts[1], limit) : "");
	snprintf(tenant, sizeof(tenant), "%s %s", text(row->now, "tenant"), text(row->now, "name"));
	print_cut(stdout, tenant, 14);
	snprintf(weight, sizeof(weight), "%c%.0f", *priority ? *priority : '-', number(row->now, "weight"));
	printf(" %-5s %-4s %6s %3.0f%% %5s %5s %5s %5s %5.5s %11s %3.0f %5s %5s %4s%s", state_of(row), weight, share,
	       100 * number(row->now, "entitlement"), shorten_time(texts[2], row->wait_p50),
	       shorten_time(texts[3], row->wait_p99), shorten_time(texts[4], row->call_p50),
	       shorten_time(texts[5], row->call_p99), shorten_count(texts[0], number(row->now, "in_flight")), memory,
	       number(row->now, "programs"), shorten_count(texts[6], row->commands),
	       shorten_bytes(texts[7], row->mebibytes * MEBIBYTE),
	       shorten_count(texts[1], number(row->now, "errors") + number(row->now, "refused")), end);
}

/* What the sensors have said. */
static void sensors_print(const json_t *gpu)
{
	char texts[2][SHORT_BYTES];
	double total = number(gpu, "memory_total_bytes");

	if (!json_is_null(json_object_get(gpu, "utilization_percent")))
		printf(", %.0f%% busy", number(gpu, "utilization_percent"));
	if (!json_is_null(json_object_get(gpu, "memory_used_bytes")))
		printf(", %s%s%s", shorten_bytes(texts[0], number(gpu, "memory_used_bytes")), total > 0 ? "/" : "",
		       total > 0 ? shorten_bytes(texts[1], total) : "");
	if (!json_is_null(json_object_get(gpu, "temperature_celsius")))
		printf(", %.0f C", number(gpu, "temperature_celsius"));
	if (!json_is_null(json_object_get(gpu, "power_milliwatts")))
		printf(", %.0f W", number(gpu, "power_milliwatts") / 1000);
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
		printf("GPU ");
		print_text(stdout, text(gpu, "name"));
		printf(": %s%s%.0f programs of %.0f tenants, %.0f wait", text(gpu, "policy"),
		       text(gpu, "policy")[0] ? ", " : "", number(gpu, "programs"), number(gpu, "tenants"),
		       number(gpu, "waiting"));
		sensors_print(gpu);
		printf("%s", end);
		lines_max -= lines_max > 0 && lines_max != SIZE_MAX;
	}
	printf("%s%14s %5s %4s %6s %4s %11s %11s %5s %11s %3s %5s %5s %4s%s", end, "", "", "", "", "", "WAIT", "CALL",
	       "", "", "", "", "", "", end);
	printf("%-14s %-5s %-4s %6s %4s %5s %5s %5s %5s %5s %11s %3s %5s %5s %4s%s", "TENANT", "STATE", "PRIO", "SHARE",
	       "ENTL", "p50", "p99", "p50", "p99", "QUEUE", "MEMORY", "PRG", "CMD/s", "B/s", "ERR", end);
	for (size_t i = 0; i < count && i < lines_max; i++)
		row_print(&rows[i], end);
	if (count > lines_max)
		printf("and %zu more%s", count - lines_max, end);
	free(rows);
}

/* Null: there was none. */
static json_t *microseconds(double seconds)
{
	return seconds < 0 ? json_null() : json_real(seconds * 1e6);
}

static void json_print(const json_t *before, const json_t *now)
{
	size_t count;
	struct row *rows = rows_make(before, now, &count);
	json_t *list = json_array();
	json_t *result;

	for (size_t i = 0; i < count; i++) {
		json_t *row = json_copy((json_t *)(uintptr_t)rows[i].now);

		json_object_set_new(row, "share", rows[i].share < 0 ? json_null() : json_real(rows[i].share));
		json_object_set_new(row, "wait_ms", json_real(rows[i].wait_ms));
		json_object_set_new(row, "wait_p50_us", microseconds(rows[i].wait_p50));
		json_object_set_new(row, "wait_p99_us", microseconds(rows[i].wait_p99));
		json_object_set_new(row, "call_p50_us", microseconds(rows[i].call_p50));
		json_object_set_new(row, "call_p99_us", microseconds(rows[i].call_p99));
		json_object_set_new(row, "commands_per_second", json_real(rows[i].commands));
		json_object_set_new(row, "mib_per_second", json_real(rows[i].mebibytes));
		json_array_append_new(list, row);
	}
	result = json_pack("{s:O, s:o}", "gpus", json_object_get(now, "gpus"), "tenants", list);
	json_dumpf(result, stdout, JSON_COMPACT);
	printf("\n");
	fflush(stdout);
	json_decref(result);
	free(rows);
}

static size_t lines_of_screen(void)
{
	struct winsize size;

	/* Beside the GPUs' lines and the tenants': the head, headings, how many are left out. */
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_row < 10)
		return SIZE_MAX;
	return size.ws_row - 5u;
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
