/* SPDX-License-Identifier: Apache-2.0 */
#include "vgpu_job.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "xenstore.h"

struct vgpu_job_connection {
	struct job_xenstore *xenstore; /* instead of a stream */
	int stream;
	FILE *answers;
};

static int socket_connect(const struct sockaddr *address, socklen_t length)
{
	int connected = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connected >= 0 && connect(connected, address, length) < 0) {
		int error = errno;

		close(connected);
		errno = error;
		return -1;
	}
	return connected;
}

static int network_connect(const char *where)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	const char *colon = strrchr(where, ':');
	char *host = strndup(where, (size_t)(colon - where));
	struct addrinfo *found = NULL;
	int connected = -1;

	if (!host || getaddrinfo(host, colon + 1, &hints, &found)) {
		free(host);
		errno = EADDRNOTAVAIL;
		return -1;
	}
	for (const struct addrinfo *at = found; at && connected < 0; at = at->ai_next)
		connected = socket_connect(at->ai_addr, at->ai_addrlen);
	freeaddrinfo(found);
	free(host);
	return connected;
}

static int stream_open(const char *where)
{
	struct sockaddr_un local = {.sun_family = AF_UNIX};
	struct sockaddr_vm vm = {.svm_family = AF_VSOCK};

	if (where[0] == '/')
		return open(where, O_RDWR | O_CLOEXEC);
	if (strncmp(where, "unix:", 5) == 0) {
		snprintf(local.sun_path, sizeof(local.sun_path), "%s", where + 5);
		return socket_connect((struct sockaddr *)&local, sizeof(local));
	}
	if (sscanf(where, "vsock:%u:%u", &vm.svm_cid, &vm.svm_port) == 2)
		return socket_connect((struct sockaddr *)&vm, sizeof(vm));
	if (strchr(where, ':'))
		return network_connect(where);
	errno = EINVAL;
	return -1;
}

struct vgpu_job_connection *vgpu_job_connect(const char *where)
{
	struct vgpu_job_connection *connection = calloc(1, sizeof(*connection));

	if (!where)
		where = getenv("VGPU_JOBS");
	if (!where)
		where = VGPU_JOB_PORT;
	if (!connection)
		return NULL;
	connection->stream = -1;
	if (strcmp(where, "xenstore") == 0) {
		connection->xenstore = job_xenstore_open();
		if (connection->xenstore)
			return connection;
	} else {
		connection->stream = stream_open(where);
	}
	if (connection->stream >= 0)
		connection->answers = fdopen(dup(connection->stream), "r");
	if (!connection->answers) {
		int error = errno;

		vgpu_job_close(connection);
		errno = error;
		return NULL;
	}
	return connection;
}

static int all_write(int stream, const char *bytes, size_t count)
{
	while (count > 0) {
		ssize_t written = write(stream, bytes, count);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return -1;
		bytes += written;
		count -= (size_t)written;
	}
	return 0;
}

int vgpu_job_call(struct vgpu_job_connection *connection, const char *request, char **ret_answer)
{
	size_t capacity = 0;
	ssize_t length;

	if (connection->xenstore)
		return job_xenstore_call(connection->xenstore, request, ret_answer);
	*ret_answer = NULL;
	if (all_write(connection->stream, request, strlen(request)) < 0 || all_write(connection->stream, "\n", 1) < 0)
		return -1;
	length = getline(ret_answer, &capacity, connection->answers);
	if (length <= 0) {
		free(*ret_answer);
		*ret_answer = NULL;
		errno = EPIPE;
		return -1;
	}
	if ((*ret_answer)[length - 1] == '\n')
		(*ret_answer)[length - 1] = '\0';
	return 0;
}

void vgpu_job_close(struct vgpu_job_connection *connection)
{
	if (!connection)
		return;
	job_xenstore_close(connection->xenstore);
	if (connection->answers)
		fclose(connection->answers);
	if (connection->stream >= 0)
		close(connection->stream);
	free(connection);
}
