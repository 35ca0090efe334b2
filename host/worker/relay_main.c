/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-relay: started by the mediator in the place of cuda-executor, for a channel whose GPU a worker has. */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control_socket.h"
#include "credentials.h"
#include "relay.h"
#include "sandbox.h"

#define EXIT_START     1
#define EXIT_FAULT     2
#define EXIT_USAGE     64
#define CONNECT_MS     5000 /* in all, a worker that restarts included */
#define RETRY_FIRST_MS 100
#define RETRY_LAST_MS  1600
#define HANDSHAKE_MS   5000
#define START_MS       60000 /* the mediator is less patient */
#define COUNTERS_BYTES 4096
#define MACHINE_FILE   "/etc/machine-id"
#define ADDRESS_BYTES  256

/* With the start, where the guest has no pass socket. */
enum start_descriptor {
	START_MEMORY,
	START_DOORBELL,
	START_INTERRUPT,
	START_COUNTERS,
	START_PERMIT,
	START_TENANT,
	START_WAKE,
	START_BELL,
	START_CREDENTIALS,
	START_COUNT
};

static struct relay relay = {.control = VGPU_EXECUTOR_CONTROL_FD, .link = {.socket = -1}};

static void answer(enum vgpu_control_type type)
{
	struct control_message message = {.channel = {.channel = relay.channel_number, .error = relay.fault}};

	snprintf(message.channel.text, sizeof(message.channel.text), "%s", relay.fault_text);
	if (relay.fault)
		fprintf(stderr, "[vgpu-relay] %s\n", relay.fault_text);
	/* A mediator that is gone needs no answer. */
	if (control_send(relay.control, type, &message) < 0 && errno != EPIPE)
		fprintf(stderr, "[vgpu-relay] the mediator cannot be told: %s\n", strerror(errno));
}

/* HOST:PORT, or [ADDRESS]:PORT. */
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
static int worker_connect(const char *host, const char *port)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	uint64_t end = link_now_ms() + CONNECT_MS;
	struct addrinfo *addresses = NULL;
	int pause_ms = RETRY_FIRST_MS;
	int connected = -1;
	int result = getaddrinfo(host, port, &hints, &addresses);

	if (result) {
		relay_fault(&relay, VGPU_ERROR_REFUSED, "worker %.64s: %s", host, gai_strerror(result));
		return -1;
	}
	for (;;) {
		for (const struct addrinfo *address = addresses; address && connected < 0; address = address->ai_next)
			connected = connect_once(address, CONNECT_MS);
		if (connected >= 0 || link_now_ms() + (uint64_t)pause_ms >= end)
			break;
		poll(NULL, 0, pause_ms);
		pause_ms = pause_ms * 2 < RETRY_LAST_MS ? pause_ms * 2 : RETRY_LAST_MS;
	}
	if (connected < 0)
		relay_fault(&relay, VGPU_ERROR_REFUSED, "worker %.64s:%.8s: %s", host, port, strerror(errno));
	freeaddrinfo(addresses);
	return connected;
}

static bool link_open_to(const char *worker, int credentials)
{
	char text[120];
	char host[ADDRESS_BYTES];
	const char *port;
	SSL_CTX *context;
	int socket;

	if (!address_split(worker, host, &port)) {
		relay_fault(&relay, VGPU_ERROR_REFUSED, "\"%.64s\" is no HOST:PORT", worker);
		return false;
	}
	context = credentials_load(credentials, false, text, sizeof(text));
	if (!context) {
		relay_fault(&relay, VGPU_ERROR_REFUSED, "worker-credentials: %s", text);
		return false;
	}
	socket = worker_connect(host, port);
	if (socket >= 0 && link_create(&relay.link, context, socket) < 0)
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "the host is out of memory");
	SSL_CTX_free(context);
	if (socket < 0 || relay.fault)
		return false;
	if (credentials_expect(relay.link.ssl, host) < 0 || !link_handshake(&relay.link, false, HANDSHAKE_MS)) {
		relay_fault(&relay, VGPU_ERROR_REFUSED, "worker %.40s: %.100s", worker, relay.link.reason);
		return false;
	}
	return true;
}

/* By which a worker tells the tenants of this host from those of others. */
static void host_name(char name[LINK_HOST_BYTES])
{
	int file = open(MACHINE_FILE, O_RDONLY | O_CLOEXEC);
	ssize_t got = file < 0 ? -1 : read(file, name, LINK_HOST_BYTES - 1);

	if (file >= 0)
		close(file);
	memset(name + (got > 0 ? got : 0), 0, LINK_HOST_BYTES - (size_t)(got > 0 ? got : 0));
	if (got <= 0)
		gethostname(name, LINK_HOST_BYTES - 1);
	name[strcspn(name, "\n")] = '\0';
}

/* Sends OPEN and waits for the answer. */
static bool worker_open(const struct vgpu_control_executor_start *start)
{
	struct link_open open = {
		.version = LINK_VERSION,
		.vm_id = start->vm_id,
		.channel = start->channel,
		.pool_id = start->pool_id,
		.channel_bytes = start->channel_bytes,
		.flags = relay.packer.context ? LINK_FLAG_PACK : 0,
		.process_namespace = start->process_namespace,
	};
	uint64_t end = link_now_ms() + START_MS;
	struct link_status status;
	struct link_view view;
	int found = 0;

	host_name(open.host);
	snprintf(open.tenant, sizeof(open.tenant), "%.*s", (int)sizeof(start->tenant), start->tenant);
	memcpy(link_put(&relay.link, LINK_OPEN, sizeof(open), false), &open, sizeof(open));
	while (found == 0) {
		struct pollfd waits[] = {{.fd = relay.link.socket, .events = POLLIN},
					 {.fd = relay.control, .events = POLLRDHUP}};
		bool is_lost = !link_flush(&relay.link);

		/* It may have said why before it closed. */
		if (!link_fill(&relay.link))
			is_lost = true;
		found = link_peek(&relay.link, &view);
		if (found < 0 || (found == 0 && is_lost)) {
			relay_fault(&relay, VGPU_ERROR_REFUSED, "the worker: %.140s", relay.link.reason);
			return false;
		}
		if (found == 0 && (poll(waits, 2, START_MS) <= 0 || waits[1].revents || link_now_ms() > end)) {
			relay_fault(&relay, VGPU_ERROR_START_TIMEOUT, "the worker does not answer");
			return false;
		}
		if (found > 0 && view.type == LINK_COUNTERS) {
			link_consume(&relay.link, &view);
			found = 0;
		}
	}
	if (view.type != LINK_STATUS || view.bytes != sizeof(status)) {
		relay_fault(&relay, VGPU_ERROR_PROTOCOL, "the worker answers out of turn");
		return false;
	}
	memcpy(&status, view.payload, sizeof(status));
	link_consume(&relay.link, &view);
	status.text[sizeof(status.text) - 1] = '\0';
	if (status.error)
		relay_fault(&relay, status.error <= VGPU_ERROR_START_TIMEOUT ? status.error : VGPU_ERROR_REFUSED,
			    "worker: %.140s", status.text);
	return !relay.fault;
}

static bool schedule_take(const struct control_message *message, size_t pass)
{
	struct vgpu_executor_schedule *own = (void *)((uint8_t *)relay.counters + VGPU_SCHEDULE_OFFSET);
	int error = relay_schedule_open(&relay.schedule, own, message->fds[START_PERMIT + pass],
					message->fds[START_TENANT + pass], message->fds[START_WAKE + pass],
					message->fds[START_BELL + pass]);

	if (error)
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the permit: %s", strerror(-error));
	return error == 0;
}

static bool start_take(struct control_message *message, const char *worker)
{
	const struct vgpu_control_executor_start *start = &message->executor_start;
	size_t pass = start->has_pass_socket ? 1 : 0;
	struct channel_memory memory;
	struct stat counters;
	int error;

	if (message->header.type != VGPU_CONTROL_EXECUTOR_START || !start->has_schedule ||
	    message->fd_count != START_COUNT + pass) {
		relay_fault(&relay, VGPU_ERROR_PROTOCOL, "the mediator sent no start");
		return false;
	}
	relay.channel_number = start->channel;
	memory = channel_memory_of(start, message->fds[START_MEMORY]);
	/* What lies there would not cross. */
	memory.has_area = false;
	error = channel_open(&relay.channel, &memory, message->fds[START_DOORBELL], message->fds[START_INTERRUPT]);
	if (error) {
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the channel's memory: %s", strerror(-error));
		return false;
	}
	message->fds[START_DOORBELL] = message->fds[START_INTERRUPT] = -1;
	relay.counters = MAP_FAILED;
	if (fstat(message->fds[START_COUNTERS], &counters) == 0 && counters.st_size >= COUNTERS_BYTES)
		relay.counters =
			mmap(NULL, COUNTERS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[START_COUNTERS], 0);
	if (relay.counters == MAP_FAILED) {
		relay_fault(&relay, VGPU_ERROR_NO_MEMORY, "cannot map the counters");
		return false;
	}
	if (!schedule_take(message, pass))
		return false;
	message->fds[START_WAKE + pass] = message->fds[START_BELL + pass] = -1;
	return link_open_to(worker, message->fds[START_CREDENTIALS + pass]) && worker_open(start);
}

int main(int count, char **arguments)
{
	struct control_message message;
	bool is_started;
	int error;

	if (count < 2 || count > 4) {
		fputs("usage: vgpu-relay HOST:PORT [SILENCE_MS [pack]]\n\nThe mediator starts it.\n", stderr);
		return EXIT_USAGE;
	}
	relay.silence_ms = count > 2 ? strtoul(arguments[2], NULL, 10) : LINK_SILENCE_MS;
	/* Without it the data goes as it is. */
	if (count > 3 && strcmp(arguments[3], "pack") == 0)
		(void)packer_open(&relay.packer);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_DUMPABLE, 0);
	if (control_receive(relay.control, &message) <= 0)
		return EXIT_START;
	is_started = start_take(&message, arguments[1]);
	control_message_release(&message);
	if (!is_started) {
		answer(VGPU_CONTROL_EXECUTOR_FAILED);
		return EXIT_START;
	}
	answer(VGPU_CONTROL_EXECUTOR_READY);
	error = sandbox_enter();
	if (error)
		relay_fault(&relay, VGPU_ERROR_EXECUTOR_DIED, "cannot enter the sandbox: %s", strerror(-error));
	relay_run(&relay);
	if (relay.close_end_ms)
		return 0;
	answer(VGPU_CONTROL_EXECUTOR_FAULT);
	return EXIT_FAULT;
}
