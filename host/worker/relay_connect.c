/* SPDX-License-Identifier: Apache-2.0 */
#include "relay_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "credentials.h"

#define CONNECT_MS	5000 /* in all, a worker that restarts included */
#define LANE_CONNECT_MS 2000 /* to who has just taken a connection; it can be done without */
#define RETRY_FIRST_MS	100
#define RETRY_LAST_MS	1600
#define HANDSHAKE_MS	5000
#define MACHINE_FILE	"/etc/machine-id"
#define ADDRESS_BYTES	256

__attribute__((format(printf, 3, 4))) static bool fail(struct relay_connect_failure *failure,
						       enum vgpu_channel_error error, const char *format, ...)
{
	va_list arguments;

	failure->error = error;
	va_start(arguments, format);
	vsnprintf(failure->text, sizeof(failure->text), format, arguments);
	va_end(arguments);
	return false;
}

static bool address_split(const char *address, char host[ADDRESS_BYTES], const char **ret_port)
{
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : 0;

	if (length == 0 || length >= ADDRESS_BYTES || !colon[1])
		return false;
	if (address[0] == '[' && address[length - 1] == ']') {
		address++;
		length -= 2;
	}
	memcpy(host, address, length);
	host[length] = '\0';
	*ret_port = colon + 1;
	return true;
}

/* A connected, non-blocking socket, or -1 with errno. */
static int connect_once(const struct addrinfo *address, int timeout_ms)
{
	int error = 0;
	socklen_t length = sizeof(error);
	int connected = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd wait = {.fd = connected, .events = POLLOUT};

	if (connected < 0)
		return -1;
	if (connect(connected, address->ai_addr, address->ai_addrlen) == 0)
		return connected;
	error = errno;
	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (poll(&wait, 1, timeout_ms) > 0)
			getsockopt(connected, SOL_SOCKET, SO_ERROR, &error, &length);
	}
	if (!error)
		return connected;
	close(connected);
	errno = error;
	return -1;
}

/* A worker that restarts is waited for a little, more and more slowly. */
static int worker_connect(const char *host, const char *port, bool once, struct relay_connect_failure *failure)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	uint64_t end = link_now_ms() + CONNECT_MS;
	struct addrinfo *addresses = NULL;
	int pause_ms = RETRY_FIRST_MS;
	int connected = -1;
	int result = getaddrinfo(host, port, &hints, &addresses);

	if (result) {
		fail(failure, VGPU_ERROR_REFUSED, "worker %.64s: %s", host, gai_strerror(result));
		return -1;
	}
	for (;;) {
		for (const struct addrinfo *address = addresses; address && connected < 0; address = address->ai_next) {
			uint64_t now = link_now_ms();

			errno = ETIMEDOUT;
			if (now < end)
				connected = connect_once(address, (int)(end - now));
		}
		if (connected >= 0 || once || link_now_ms() + (uint64_t)pause_ms >= end)
			break;
		poll(NULL, 0, pause_ms);
		pause_ms = pause_ms * 2 < RETRY_LAST_MS ? pause_ms * 2 : RETRY_LAST_MS;
	}
	if (connected < 0)
		fail(failure, VGPU_ERROR_REFUSED, "worker %.64s:%.8s: %s", host, port, strerror(errno));
	freeaddrinfo(addresses);
	return connected;
}

bool relay_connect(struct link *link, const struct relay_connect_plan *plan, struct relay_connect_failure *ret_failure)
{
	char text[120];
	char host[ADDRESS_BYTES];
	const char *port;
	SSL_CTX *context;
	int socket;
	int error = 0;

	if (!address_split(plan->worker, host, &port))
		return fail(ret_failure, VGPU_ERROR_REFUSED, "\"%.64s\" is no HOST:PORT", plan->worker);
	context = credentials_load(plan->credentials, false, text, sizeof(text));
	if (!context)
		return fail(ret_failure, VGPU_ERROR_REFUSED, "worker-credentials: %s", text);
	socket = worker_connect(host, port, plan->once, ret_failure);
	if (socket >= 0)
		error = link_create(link, context, socket);
	SSL_CTX_free(context);
	if (error)
		return fail(ret_failure, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
	if (socket < 0)
		return false;
	if (credentials_expect(link->ssl, host) < 0 || !link_handshake(link, false, HANDSHAKE_MS))
		return fail(ret_failure, VGPU_ERROR_REFUSED, "worker %.40s: %.100s", plan->worker, link->reason);
	return true;
}

bool relay_connect_lane(struct link *link, const struct link *first, const struct relay_connect_plan *plan,
			struct relay_connect_failure *ret_failure)
{
	struct sockaddr_storage peer;
	struct addrinfo address = {.ai_addr = (struct sockaddr *)&peer, .ai_addrlen = sizeof(peer)};
	char host[ADDRESS_BYTES];
	const char *port;
	int socket = -1;

	if (!address_split(plan->worker, host, &port))
		return fail(ret_failure, VGPU_ERROR_REFUSED, "\"%.64s\" is no HOST:PORT", plan->worker);
	if (getpeername(first->socket, address.ai_addr, &address.ai_addrlen) == 0) {
		address.ai_family = peer.ss_family;
		socket = connect_once(&address, LANE_CONNECT_MS);
	}
	if (socket < 0)
		return fail(ret_failure, VGPU_ERROR_REFUSED, "worker %.64s: %s", plan->worker, strerror(errno));
	if (link_create(link, SSL_get_SSL_CTX(first->ssl), socket) < 0)
		return fail(ret_failure, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
	if (credentials_expect(link->ssl, host) == 0 && link_handshake(link, false, HANDSHAKE_MS))
		return true;
	fail(ret_failure, VGPU_ERROR_REFUSED, "worker %.40s: %.100s", plan->worker, link->reason);
	link_destroy(link);
	return false;
}

void relay_host_name(char name[LINK_HOST_BYTES])
{
	char text[LINK_HOST_BYTES] = "";
	int file = open(MACHINE_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, text, sizeof(text) - 1);

	if (file >= 0)
		close(file);
	if (got <= 0)
		gethostname(text, sizeof(text) - 1);
	memset(text + strcspn(text, "\n"), 0, sizeof(text) - strcspn(text, "\n"));
	memcpy(name, text, sizeof(text));
}
