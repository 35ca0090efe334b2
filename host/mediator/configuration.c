/* SPDX-License-Identifier: Apache-2.0 */
#include "configuration.h"

#include <argp.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "configuration_value.h"
#include "log.h"
#include "number.h"
#include "vgpu_schedule.h"

#define LINE_BYTES_MAX	    4096
#define OVERRIDES_COUNT_MAX 128
#define REASON_BYTES	    200

enum setting_kind { SETTING_TEXT, SETTING_LIST, SETTING_NUMBER, SETTING_MODE, SETTING_FLAG, SETTING_POOL };

struct setting {
	const char *name;
	enum setting_kind kind;
	size_t offset;
	unsigned minimum;
	unsigned maximum;
	unsigned initial;
	const char *argument; /* its name in --help */
	const char *help;
};

#define FIELD(name) offsetof(struct configuration, name)

static const struct setting settings[] = {
	{"socket", SETTING_LIST, FIELD(sockets), 0, 0, 0, "PATH",
	 "Listen here instead of the usual places (repeatable)"},
	{"socket-mode", SETTING_MODE, FIELD(socket_mode), 1, 0777, 0, "OCTAL", "Permissions of the sockets"},
	{"socket-group", SETTING_TEXT, FIELD(socket_group), 0, 0, 0, "GROUP", "Group of the sockets (vgpu)"},
	{"xen-directory", SETTING_TEXT, FIELD(xen_directory), 0, 0, 0, "DIRECTORY", "Where Xen's QEMU chroots lie"},
	{"device-user", SETTING_LIST, FIELD(device_users), 0, 0, 0, "USER",
	 "May connect as a VM anywhere (repeatable)"},
	{"jobs-user", SETTING_TEXT, FIELD(jobs_user), 0, 0, 0, "USER",
	 "User of vgpu-jobs, who may say whose VM's job a program runs (vgpu-jobs)"},
	{"vm-id-automatic", SETTING_FLAG, FIELD(vm_id_automatic), 0, 0, 0, "yes|no", "Accept devices without a vm_id"},
	{"driver", SETTING_TEXT, FIELD(driver), 0, 0, 0, "LIBRARY", "CUDA driver library of the executors"},
	{"allow-pageable-access", SETTING_FLAG, FIELD(allow_pageable_access), 0, 0, 0, "yes|no",
	 "Use GPUs whose kernels reach all memory of their process, with which they can take an executor over"},
	{"executor", SETTING_TEXT, FIELD(executor), 0, 0, 0, "PATH", "The cuda-executor program"},
	{"executor-user", SETTING_TEXT, FIELD(executor_user), 0, 0, 0, "USER", "User of the executors (vgpu)"},
	{"executor-users-first", SETTING_NUMBER, FIELD(executor_users_first), 0, 4294901760, 0, "UID",
	 "First of the users of which each tenant's executors get one; 0: all run as executor-user"},
	{"executor-users-count", SETTING_NUMBER, FIELD(executor_users_count), 1, 65536, 4096, "N",
	 "How many there are"},
	{"executor-environment", SETTING_LIST, FIELD(executor_environment), 0, 0, 0, "NAME",
	 "Variable that executors inherit (repeatable)"},
	{"executor-cgroup", SETTING_TEXT, FIELD(executor_cgroup), 0, 0, 0, "own|DIRECTORY",
	 "Control group in which each tenant's executors have one of their own"},
	{"compute-cache", SETTING_TEXT, FIELD(compute_cache), 0, 0, 0, "DIRECTORY",
	 "Each tenant has a folder here for the code that the driver compiles"},
	{"compute-cache-mib", SETTING_NUMBER, FIELD(compute_cache_mib), 1, 4095, 256, "MIB",
	 "What the driver keeps there for one tenant"},
	{"worker", SETTING_LIST, FIELD(workers), 0, 0, 0, "POOL=HOST:PORT",
	 "A pool that has the GPUs of a vgpu-worker (repeatable)"},
	{"worker-credentials", SETTING_TEXT, FIELD(worker_credentials), 0, 0, 0, "FILE",
	 "Certificate, key and authorities, or a pre-shared key, for the link to workers"},
	{"worker-silence", SETTING_NUMBER, FIELD(worker_silence_ms), 1500, 600000, 10000, "MS",
	 "A worker that is silent for longer is lost"},
	{"worker-pack", SETTING_FLAG, FIELD(worker_pack), 0, 0, 0, "yes|no",
	 "Pack bulk data by zstd where the link to a worker is slower than that"},
	{"worker-lanes", SETTING_NUMBER, FIELD(worker_lanes), 0, 8, UINT_MAX, "N",
	 "Further connections of a program to its worker, for bulk data (a quarter of the processors, 1 to 4)"},
	{"relay", SETTING_TEXT, FIELD(relay), 0, 0, 0, "PATH", "The vgpu-relay program"},
	{"log", SETTING_TEXT, FIELD(log), 0, 0, 0, "FILE", "Log file; standard error without it"},
	{"log-level", SETTING_TEXT, FIELD(log_level), 0, 0, 0, "LEVEL", "error, warning, info or debug"},
	{"log-format", SETTING_TEXT, FIELD(log_format), 0, 0, 0, "text|json",
	 "Lines of the log, where it is not the journal, which has fields (text)"},
	{"local-pool", SETTING_POOL, FIELD(local_pool), 0, 0, 'A', "A-Z", "Pool of local programs"},
	{"heartbeat", SETTING_NUMBER, FIELD(heartbeat_seconds), 1, 86400, 30, "SECONDS", "Time between heartbeats"},
	{"executor-start-timeout", SETTING_NUMBER, FIELD(executor_start_seconds), 1, 3600, 30, "SECONDS",
	 "Time an executor has to become ready"},
	{"executor-stop-timeout", SETTING_NUMBER, FIELD(executor_stop_seconds), 1, 60, 2, "SECONDS",
	 "Time an executor has to end before it is killed"},
	{"executor-silence", SETTING_NUMBER, FIELD(executor_silence_ms), 0, 3600000, 5000, "MS",
	 "An executor that is stopped for longer (SIGSTOP, a debugger) is ended; 0: none is"},
	{"probe-timeout", SETTING_NUMBER, FIELD(probe_seconds), 1, 3600, 60, "SECONDS", "Time a driver has to answer"},
	{"hello-timeout", SETTING_NUMBER, FIELD(hello_seconds), 1, 3600, 5, "SECONDS",
	 "Time a peer has to say who it is"},
	{"connections-max", SETTING_NUMBER, FIELD(connections_max), 1, 65536, 1024, "N", "Connections in all"},
	{"user-connections-max", SETTING_NUMBER, FIELD(user_connections_max), 1, 65536, 256, "N",
	 "Connections of one user"},
	{"processes-max", SETTING_NUMBER, FIELD(processes_max), 1, 65536, 512, "N", "Executors in all"},
	{"vm-processes-max", SETTING_NUMBER, FIELD(vm_processes_max), 1, 64, 64, "N", "Executors of one VM"},
	{"user-processes-max", SETTING_NUMBER, FIELD(user_processes_max), 1, 65536, 64, "N",
	 "Executors of one user's local programs"},
	{"policy", SETTING_TEXT, FIELD(policy), 0, 0, 0, "NAME",
	 "Who uses the GPU next: fair, round-robin, priority, exclusive, or none"},
	{"placement", SETTING_TEXT, FIELD(placement), 0, 0, 0, "program|tenant",
	 "Where GPUs belong to pools: what is put on one of them"},
	{"slice", SETTING_NUMBER, FIELD(slice_us), 100, 1000000, 5000, "MICROSECONDS",
	 "Time on the GPU while others wait"},
	{"burst", SETTING_NUMBER, FIELD(burst_us), 10, 100000, 500, "MICROSECONDS",
	 "Length of a burst of work, while others are there"},
	{"bursts", SETTING_NUMBER, FIELD(bursts), 1, 32, VGPU_BURSTS_DEFAULT, "N",
	 "Bursts in flight at most, while others are there"},
	{"linger", SETTING_NUMBER, FIELD(linger_us), 0, 100000, 100, "MICROSECONDS",
	 "Time without work after which the GPU is given up"},
	{"aging", SETTING_NUMBER, FIELD(aging_ms), 0, 3600000, 500, "MILLISECONDS",
	 "Time of waiting that counts as one class more; 0: never"},
	{"tenant", SETTING_LIST, FIELD(tenants), 0, 0, 0, "KEY NAME=VALUE...",
	 "Weight, priority and limits of vm:N, user:N, program:NAME or default (repeatable)"},
	{"tenant-per-program", SETTING_FLAG, FIELD(tenant_per_program), 0, 0, 0, "yes|no",
	 "Local programs are tenants by their names, not by their users"},
	{"quarantine-faults", SETTING_NUMBER, FIELD(quarantine_faults), 0, 1000000, 20, "N",
	 "Faults after which a VM may start no more programs; 0: never"},
	{"quarantine-window", SETTING_NUMBER, FIELD(quarantine_window), 1, 86400, 60, "SECONDS",
	 "Time in which faults are counted"},
	{"quarantine-time", SETTING_NUMBER, FIELD(quarantine_seconds), 1, 31536000, 300, "SECONDS",
	 "How long a quarantine lasts"},
	{"quarantine-local", SETTING_FLAG, FIELD(quarantine_local), 0, 0, 0, "yes|no",
	 "Local programs' tenants are quarantined too"},
	{"metrics", SETTING_TEXT, FIELD(metrics), 0, 0, 0, "ADDRESS:PORT", "Metrics for Prometheus; none: nowhere"},
	{"slow-wait", SETTING_NUMBER, FIELD(slow_wait_ms), 0, 3600000, 0, "MILLISECONDS",
	 "A tenant that waits longer for the GPU is logged; 0: none is"},
	{"slow-call-ms", SETTING_NUMBER, FIELD(slow_call_ms), 0, 3600000, 1000, "MILLISECONDS",
	 "A call that keeps its executor busy for longer is logged; 0: none is"},
	{"admin-socket", SETTING_TEXT, FIELD(admin_socket), 0, 0, 0, "PATH",
	 "Where vgpu-admin connects; none: nowhere"},
	{"admin-group", SETTING_TEXT, FIELD(admin_group), 0, 0, 0, "GROUP",
	 "Who may administer, beside root (vgpu-admin)"},
	{"view-group", SETTING_TEXT, FIELD(view_group), 0, 0, 0, "GROUP",
	 "Who may look at what vgpu-admin shows, and change nothing (vgpu-view)"},
	{"database", SETTING_TEXT, FIELD(database), 0, 0, 0, "FILE",
	 "What vgpu-admin sets is kept here; :memory: until the mediator ends"},
	{"database-import", SETTING_TEXT, FIELD(database_import), 0, 0, 0, "FILE",
	 "A new database takes over the earlier attempt's"},
	{"keep", SETTING_NUMBER, FIELD(keep_seconds), 0, 86400, 0, "SECONDS",
	 "Programs go on without a mediator for so long, and the next one adopts them; 0: they end with it"},
};

#define SETTING_COUNT (sizeof(settings) / sizeof(settings[0]))

struct override {
	const struct setting *setting;
	const char *value;
};

struct configuration_source {
	const char *path; /* NULL: CONFIGURATION_PATH, which need not exist */
	struct override overrides[OVERRIDES_COUNT_MAX];
	size_t override_count;
	bool checks_only;
};

/* Keys of argp's options: beyond the characters. */
enum { KEY_CONFIG = 0x1000, KEY_FOREGROUND, KEY_CHECK, KEY_SETTINGS };

static void list_clear(struct configuration_list *list)
{
	while (list->count > 0)
		free(list->values[--list->count]);
}

static int number_read(const struct setting *setting, const char *text, int base, unsigned *ret_number,
		       char reason[REASON_BYTES])
{
	uint64_t number;

	if (number_parse(text, base, setting->minimum, setting->maximum, &number)) {
		*ret_number = (unsigned)number;
		return 0;
	}
	snprintf(reason, REASON_BYTES, base == 8 ? "an octal number from %o to %o" : "a number from %u to %u",
		 setting->minimum, setting->maximum);
	return -1;
}

/* -1: it is no value for the setting, for that reason. Whether a file exists is for those who use it. */
static int setting_apply(struct configuration *configuration, const struct setting *setting, const char *value,
			 char reason[REASON_BYTES])
{
	void *field = (char *)configuration + setting->offset;
	struct configuration_list *list = field;
	char *copy;

	snprintf(reason, REASON_BYTES, "%s", setting->argument);
	if (*value && !configuration_value_check(setting->name, value, reason, REASON_BYTES))
		return -1;

	switch (setting->kind) {
	case SETTING_NUMBER:
		return number_read(setting, value, 10, field, reason);
	case SETTING_MODE:
		return number_read(setting, value, 8, field, reason);
	case SETTING_FLAG:
		if (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0)
			return -1;
		*(bool *)field = strcmp(value, "yes") == 0;
		return 0;
	case SETTING_POOL:
		if (value[0] < 'A' || value[0] > 'Z' || value[1])
			return -1;
		*(char *)field = value[0];
		return 0;
	case SETTING_TEXT:
	case SETTING_LIST:
		break;
	}
	copy = *value ? strdup(value) : NULL;
	if (!copy)
		return -1;
	if (setting->kind == SETTING_TEXT) {
		free(*(char **)field);
		*(char **)field = copy;
	} else if (list->count < CONFIGURATION_LIST_COUNT) {
		list->values[list->count++] = copy;
	} else {
		snprintf(reason, REASON_BYTES, "there are more than %d", CONFIGURATION_LIST_COUNT);
		free(copy);
		return -1;
	}
	return 0;
}

static const struct setting *setting_find(const char *name)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		if (strcmp(settings[i].name, name) == 0)
			return &settings[i];
	}
	return NULL;
}

static char *text_trim(char *text)
{
	char *end = text + strlen(text);

	while (isspace((unsigned char)*text))
		text++;
	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text;
}

/* Where a setting was made before, so that one which is made twice is noticed. */
struct file_lines {
	unsigned numbers[SETTING_COUNT];
};

static int line_apply(struct configuration *configuration, char *line, const char *path, unsigned number,
		      struct file_lines *lines)
{
	char *name = text_trim(line);
	char reason[REASON_BYTES];
	const struct setting *setting;
	unsigned *before;
	char *value;

	if (*name == '\0' || *name == '#')
		return 0;
	value = strchr(name, '=');
	if (!value) {
		log_error("%s:%u: not of the form name = value", path, number);
		return -1;
	}
	*value = '\0';
	setting = setting_find(text_trim(name));
	if (!setting) {
		log_error("%s:%u: unknown setting \"%s\"", path, number, text_trim(name));
		return -1;
	}
	before = &lines->numbers[setting - settings];
	if (*before && setting->kind != SETTING_LIST)
		log_warning("%s:%u: %s is in line %u too, which does not count", path, number, setting->name, *before);
	*before = number;
	value = text_trim(value + 1);
	if (setting_apply(configuration, setting, value, reason) < 0) {
		log_error("%s:%u: \"%s\" is no value for %s (%s)", path, number, value, setting->name, reason);
		return -1;
	}
	return 0;
}

/* All that is wrong is told, not the first of it alone. */
static int file_apply(struct configuration *configuration, const char *path, bool must_exist)
{
	struct file_lines lines = {0};
	char line[LINE_BYTES_MAX];
	unsigned number = 0;
	int result = 0;
	FILE *file = fopen(path, "re");

	if (!file) {
		if (errno == ENOENT && !must_exist)
			return 0;
		log_error("%s: %s", path, strerror(errno));
		return -1;
	}
	while (fgets(line, sizeof(line), file)) {
		number++;
		if (!strchr(line, '\n') && !feof(file)) {
			log_error("%s:%u: a line has fewer than %d characters", path, number, LINE_BYTES_MAX - 1);
			result = -1;
			break;
		}
		if (line_apply(configuration, line, path, number, &lines) < 0)
			result = -1;
	}
	if (ferror(file)) {
		log_error("%s: %s", path, strerror(errno));
		result = -1;
	}
	fclose(file);
	return result;
}

static int overrides_apply(struct configuration *configuration, const struct configuration_source *source)
{
	char reason[REASON_BYTES];
	int result = 0;

	/* A list on the command line takes the place of the file's. */
	for (size_t i = 0; i < source->override_count; i++) {
		const struct setting *setting = source->overrides[i].setting;

		if (setting->kind == SETTING_LIST)
			list_clear((struct configuration_list *)((char *)configuration + setting->offset));
	}
	for (size_t i = 0; i < source->override_count; i++) {
		const struct override *override = &source->overrides[i];

		if (setting_apply(configuration, override->setting, override->value, reason) < 0) {
			log_error("--%s: \"%s\" is no value (%s)", override->setting->name, override->value, reason);
			result = -1;
		}
	}
	return result;
}

int configuration_load(const struct configuration_source *source, struct configuration *ret_configuration)
{
	struct configuration configuration = {0};
	const char *path = source->path ? source->path : CONFIGURATION_PATH;
	int result;

	for (size_t i = 0; i < SETTING_COUNT; i++) {
		void *field = (char *)&configuration + settings[i].offset;

		if (settings[i].kind == SETTING_NUMBER || settings[i].kind == SETTING_MODE)
			*(unsigned *)field = settings[i].initial;
		else if (settings[i].kind == SETTING_POOL)
			*(char *)field = (char)settings[i].initial;
	}
	result = file_apply(&configuration, path, source->path != NULL);
	if (overrides_apply(&configuration, source) < 0 || result < 0) {
		configuration_clear(&configuration);
		return -1;
	}
	*ret_configuration = configuration;
	return 0;
}

void configuration_clear(struct configuration *configuration)
{
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		void *field = (char *)configuration + settings[i].offset;

		if (settings[i].kind == SETTING_TEXT) {
			free(*(char **)field);
			*(char **)field = NULL;
		} else if (settings[i].kind == SETTING_LIST) {
			list_clear(field);
		}
	}
}

static error_t option_parse(int key, char *argument, struct argp_state *state)
{
	struct configuration_source *source = state->input;

	if (key == KEY_CONFIG) {
		source->path = argument;
		return 0;
	}
	if (key == KEY_FOREGROUND)
		return 0;
	if (key == KEY_CHECK) {
		source->checks_only = true;
		return 0;
	}
	if (key == ARGP_KEY_ARG)
		argp_error(state, "unexpected argument \"%s\"", argument);
	if (key < KEY_SETTINGS || key >= KEY_SETTINGS + (int)SETTING_COUNT)
		return ARGP_ERR_UNKNOWN;
	if (source->override_count == OVERRIDES_COUNT_MAX)
		argp_error(state, "too many options");
	source->overrides[source->override_count++] =
		(struct override){.setting = &settings[key - KEY_SETTINGS], .value = argument};
	return 0;
}

struct configuration_source *configuration_source_create(int argument_count, char **arguments)
{
	struct argp_option options[SETTING_COUNT + 5] = {
		{"config", KEY_CONFIG, "FILE", 0, "Read settings from FILE (" CONFIGURATION_PATH ")", 0},
		{"foreground", KEY_FOREGROUND, NULL, 0, "Accepted for old start scripts: it always runs so", 0},
		{"check", KEY_CHECK, NULL, 0,
		 "Start nothing: say what is wrong with the settings; exit code 2 if anything", 0},
		{"check-configuration", KEY_CHECK, NULL, OPTION_ALIAS, NULL, 0},
	};
	struct argp parser = {
		.options = options,
		.parser = option_parse,
		.doc = "The mediator of vgpu-cuda: connects virtual machines and local programs with executors, "
		       "which make their CUDA calls.",
	};
	struct configuration_source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	for (size_t i = 0; i < SETTING_COUNT; i++) {
		options[i + 4] = (struct argp_option){
			.name = settings[i].name,
			.key = KEY_SETTINGS + (int)i,
			.arg = settings[i].argument,
			.doc = settings[i].help,
		};
	}
	argp_err_exit_status = CONFIGURATION_EXIT_CODE;
	argp_program_version = "mediator_phase3 " VGPU_VERSION;
	if (argp_parse(&parser, argument_count, arguments, 0, NULL, source)) {
		free(source);
		return NULL;
	}
	return source;
}

bool configuration_checks_only(const struct configuration_source *source)
{
	return source->checks_only;
}

void configuration_source_destroy(struct configuration_source *source)
{
	free(source);
}
