/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "print.h"

#define PATIENCE_SECONDS 10
#define ANSWER_BYTES_MAX (64u << 20)

enum exit_code client_connect(struct client *client, const char *path)
{
	const struct timeval patience = {.tv_sec = PATIENCE_SECONDS};
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	*client = (struct client){.socket = -1};
	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "vgpu-admin: %s: the path is too long\n", path);
		return EXIT_USAGE;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	client->socket = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->socket < 0 ||
	    setsockopt(client->socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
	    setsockopt(client->socket, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0 ||
	    connect(client->socket, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		int error = errno;

		client_close(client);
		if (error == EACCES || error == EPERM) {
			fprintf(stderr, "vgpu-admin: %s: only root and the group vgpu-admin may connect\n", path);
			return EXIT_DENIED;
		}
		fprintf(stderr, "vgpu-admin: %s: no mediator answers: %s\n", path, strerror(error));
		return EXIT_NO_MEDIATOR;
	}
	client->path = strdup(path);
	return EXIT_DONE;
}

void client_close(struct client *client)
{
	if (client->socket >= 0)
		close(client->socket);
	free(client->path);
	*client = (struct client){.socket = -1};
}

static enum exit_code lost(const struct client *client, const char *why)
{
	fprintf(stderr, "vgpu-admin: %s: no answer: %s\n", client->path ? client->path : "", why);
	return EXIT_NO_MEDIATOR;
}

/* A mediator that refuses the connection has closed it already, and its answer is there to be read. */
static bool line_send(const struct client *client, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t sent = send(client->socket, text, left, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return errno == EPIPE;
		text += sent;
		left -= (size_t)sent;
	}
	return true;
}

/* NULL: '*ret_why' */
static char *line_receive(const struct client *client, const char **ret_why)
{
	size_t capacity = 65536;
	size_t used = 0;
	char *line = malloc(capacity);

	*ret_why = "out of memory";
	while (line) {
		ssize_t got = recv(client->socket, line + used, capacity - used - 1, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0) {
			*ret_why = got == 0	     ? "the connection was closed"
				   : errno == EAGAIN ? "it takes too long"
						     : strerror(errno);
			break;
		}
		used += (size_t)got;
		line[used] = '\0';
		if (line[used - 1] == '\n')
			return line;
		if (used + 1 == capacity) {
			char *larger = capacity < ANSWER_BYTES_MAX ? realloc(line, capacity * 2) : NULL;

			if (!larger)
				break;
			line = larger;
			capacity *= 2;
		}
	}
	free(line);
	return NULL;
}

static enum exit_code code_of(const char *code)
{
	static const struct {
		const char *name;
		enum exit_code code;
	} codes[] = {
		{"invalid", EXIT_USAGE},
		{"denied", EXIT_DENIED},
		{"not-found", EXIT_NOT_FOUND},
		{"conflict", EXIT_CONFLICT},
	};

	for (size_t i = 0; code && i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (strcmp(codes[i].name, code) == 0)
			return codes[i].code;
	}
	return EXIT_FAILED;
}

enum exit_code client_request(struct client *client, const char *command, json_t *arguments, json_t **ret_result)
{
	json_t *request = json_pack("{s:s, s:O}", "command", command, "arguments", arguments);
	char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
	enum exit_code code = EXIT_DONE;
	json_t *answer = NULL;
	const char *why = "out of memory";
	char *line = NULL;

	if (text && line_send(client, text) && line_send(client, "\n"))
		line = line_receive(client, &why);
	else if (text)
		why = strerror(errno);
	if (line)
		answer = json_loads(line, 0, NULL);
	if (line && !answer)
		why = "it is not JSON";
	if (!answer) {
		code = lost(client, why);
	} else if (json_is_true(json_object_get(answer, "ok"))) {
		*ret_result = json_incref(json_object_get(answer, "result"));
	} else {
		const char *error = json_string_value(json_object_get(answer, "error"));

		fprintf(stderr, "vgpu-admin: ");
		print_text(stderr, error ? error : "it failed");
		fprintf(stderr, "\n");
		code = code_of(json_string_value(json_object_get(answer, "code")));
	}
	json_decref(answer);
	json_decref(request);
	free(text);
	free(line);
	return code;
}
