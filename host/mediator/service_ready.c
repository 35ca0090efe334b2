/* SPDX-License-Identifier: Apache-2.0 */
#include "service_ready.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"

#define VARIABLE "NOTIFY_SOCKET"

static int state_send(const char *path, const char *state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	int socket_file;
	ssize_t sent;
	int error;

	if ((path[0] != '/' && path[0] != '@') || length >= sizeof(address.sun_path)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(address.sun_path, path, length);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	socket_file = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (socket_file < 0)
		return -1;
	sent = sendto(socket_file, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
		      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
	error = errno;
	close(socket_file);
	errno = error;
	return sent < 0 ? -1 : 0;
}

void service_ready_tell(void)
{
	const char *path = getenv(VARIABLE);

	if (!path)
		return;
	if (state_send(path, "READY=1") < 0)
		log_warning(VARIABLE ": %s: %s", path, strerror(errno));
	unsetenv(VARIABLE);
}
