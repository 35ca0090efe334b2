/* SPDX-License-Identifier: Apache-2.0 */
#include "configuration_value.h"

#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "admin_socket.h"
#include "log.h"
#include "metrics_http.h"
#include "placement.h"
#include "schedule_policy.h"
#include "scheduler.h"
#include "tenant.h"
#include "vgpu_control.h"

struct reason {
	char *text;
	size_t bytes;
};

typedef bool value_check(const char *value, const struct reason *reason);

__attribute__((format(printf, 2, 3))) static bool refuse(const struct reason *reason, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason->text, reason->bytes, format, arguments);
	va_end(arguments);
	return false;
}

static bool socket_check(const char *value, const struct reason *reason)
{
	size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	return strlen(value) <= most || refuse(reason, "a socket's path has at most %zu characters", most);
}

static bool group_check(const char *value, const struct reason *reason)
{
	return getgrnam(value) || refuse(reason, "there is no such group");
}

static bool user_check(const char *value, const struct reason *reason)
{
	return getpwnam(value) || refuse(reason, "there is no such user");
}

static bool driver_check(const char *value, const struct reason *reason)
{
	size_t most = sizeof(((struct vgpu_control_executor_start *)0)->driver_library) - 1;

	return strlen(value) <= most || refuse(reason, "it has at most %zu characters", most);
}

static bool variable_check(const char *value, const struct reason *reason)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_";
	size_t length = strspn(value, letters);

	if (length > 0)
		length += strspn(value + length, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789");
	return (length > 0 && !value[length]) || refuse(reason, "the name of a variable, without a value");
}

static bool log_level_check(const char *value, const struct reason *reason)
{
	enum log_level level;

	return log_level_parse(value, &level) == 0 || refuse(reason, "one of error, warning, info, debug");
}

static bool log_format_check(const char *value, const struct reason *reason)
{
	return strcmp(value, "text") == 0 || strcmp(value, "json") == 0 || refuse(reason, "one of text, json");
}

static bool policy_check(const char *value, const struct reason *reason)
{
	return strcmp(value, SCHEDULER_POLICY_NONE) == 0 || policy_find(value) ||
	       refuse(reason, "one of fair, round-robin, priority, exclusive, none");
}

static bool placement_check(const char *value, const struct reason *reason)
{
	return placement_setting_is_known(value) || refuse(reason, "one of program, tenant");
}

static bool tenant_check(const char *value, const struct reason *reason)
{
	return tenant_line_check(value, reason->text, reason->bytes);
}

static bool metrics_check(const char *value, const struct reason *reason)
{
	return metrics_address_is_known(value) ||
	       refuse(reason, "a numeric address of this host with a port, as 127.0.0.1:9455, or none");
}

/* "B=HOST:PORT" */
static bool worker_check(const char *value, const struct reason *reason)
{
	const char *colon = strrchr(value, ':');
	const char *port = colon ? colon + 1 : "";

	if (value[0] < 'A' || value[0] > 'Z' || value[1] != '=')
		return refuse(reason, "a pool, A to Z, is to be before \"=\"");
	if (!colon || colon == value + 2)
		return refuse(reason, "there is no HOST:PORT");
	if (!*port || port[strspn(port, "0123456789")] || strlen(port) > 5 || strtoul(port, NULL, 10) - 1 >= UINT16_MAX)
		return refuse(reason, "\"%.16s\" is no port from 1 to 65535", port);
	return true;
}

bool configuration_value_check(const char *setting, const char *value, char *ret_reason, size_t bytes)
{
	static const struct {
		const char *setting;
		value_check *check;
	} checks[] = {
		{"socket", socket_check},
		{"socket-group", group_check},
		{"driver", driver_check},
		{"executor-user", user_check},
		{"executor-environment", variable_check},
		{"worker", worker_check},
		{"log-level", log_level_check},
		{"log-format", log_format_check},
		{"policy", policy_check},
		{"placement", placement_check},
		{"tenant", tenant_check},
		{"metrics", metrics_check},
		{"admin-socket", socket_check},
		{"admin-group", group_check},
		{"view-group", group_check},
	};
	const struct reason reason = {.text = ret_reason, .bytes = bytes};

	for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]); i++) {
		if (strcmp(checks[i].setting, setting) == 0)
			return checks[i].check(value, &reason);
	}
	return true;
}
