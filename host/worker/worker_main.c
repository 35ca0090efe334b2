/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vgpu-worker: the service on the machine that owns the GPU.  Each connection has a
 * process of its own and that one an executor, so that whatever comes over a
 * connection can harm that channel only.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "accounts.h"
#include "closer.h"
#include "control_socket.h"
#include "credentials.h"
#include "executors.h"
#include "greeting.h"
#include "lane_serve.h"
#include "log.h"
#include "mirror.h"
#include "sandbox.h"
#include "service_ready.h"
#include "settings.h"
#include "starter.h"
#include "strangers.h"
#include "watch.h"

#define HANDSHAKE_MS 5000
#define GROUP_LEAF   "worker" /* where this process is, of its control group */
/* Beyond two for each program: that watch, or have not said yet what they are for. */
#define OTHERS_MAX	16
#define ACCEPT_RETRY_MS 100

/* Of the host; zero with a pre-shared key, which all have. */
static bool certificate_read(const struct link *link, uint8_t ret_digest[ACCOUNT_CERTIFICATE_BYTES])
{
	X509 *certificate = SSL_get1_peer_certificate(link->ssl);
	unsigned bytes = 0;
	int done;

	if (!certificate)
		return true;
	done = X509_digest(certificate, EVP_sha256(), ret_digest, &bytes);
	X509_free(certificate);
	return done == 1 && bytes == ACCOUNT_CERTIFICATE_BYTES;
}

/* In a process of its own. */
static void connection_serve(const struct settings *settings, SSL_CTX *context, int socket, const char *peer,
			     int accounts)
{
	static struct mirror mirror;
	const struct link_status ready = {0};
	struct mirror_plan plan = {.driver = settings->driver,
				   .accounts = accounts,
				   .lanes_max = settings->lanes_max,
				   .allows_pageable = settings->allow_pageable_access};
	struct greeting greeting;
	struct link link;
	int error;

	if (link_create(&link, context, socket) < 0)
		return;
	if (!link_handshake(&link, true, HANDSHAKE_MS) || account_known_tell(accounts) < 0 ||
	    !greeting_receive(&link, &greeting) || !certificate_read(&link, plan.certificate)) {
		/* Not by this process: all of them share what the log has room for. */
		account_refusal_tell(accounts, link.reason);
		return;
	}
	if (greeting.type == LINK_LANE) {
		if (!lane_serve(&link, &greeting.lane, plan.certificate, accounts))
			log_info("%s: a lane was refused: %s", peer, link.reason);
		return;
	}
	plan.open = greeting.open;
	if (plan.open.version == LINK_VERSION && plan.open.flags & LINK_FLAG_WATCH) {
		const struct watch_plan watch = {.executor = settings->executor,
						 .driver = settings->driver,
						 .silence_ms = settings->silence_ms,
						 .has_sensors = plan.open.flags & LINK_FLAG_SENSORS};

		log_info("%s: a host watches the GPUs", peer);
		watch_serve(&link, &watch);
		log_info("%s: no longer watched: %s", peer, link.reason);
		return;
	}
	mirror.link = &link;
	mirror.silence_ms = settings->silence_ms;
	if (mirror_open(&mirror, &plan)) {
		log_info("%s: vm_id=%u channel=%u pool=%c %s: executor pid %d, %u lanes", peer, plan.open.vm_id,
			 plan.open.channel, (int)(plan.open.pool_id & 0x7f), plan.open.tenant, (int)mirror.executor,
			 mirror.lanes.count);
		memcpy(link_put(&link, LINK_STATUS, sizeof(ready), false), &ready, sizeof(ready));
		error = sandbox_enter();
		if (error)
			mirror_end(&mirror, VGPU_ERROR_EXECUTOR_DIED, "cannot enter the sandbox: %s", strerror(-error));
		mirror_run(&mirror);
	}
	mirror_close(&mirror);
	log_info("%s: closed: %s", peer, mirror.is_closing ? "the channel was closed" : mirror.status.text);
}

static int listener_open(const char *address)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
	struct addrinfo *found = NULL;
	char host[256];
	const char *colon = strrchr(address, ':');
	size_t length = colon ? (size_t)(colon - address) : sizeof(host);
	const char *name = address;
	int one = 1;
	int listener = -1;

	if (length >= sizeof(host)) {
		errno = EINVAL;
		return -1;
	}
	if (length >= 2 && name[0] == '[' && name[length - 1] == ']') {
		name++;
		length -= 2;
	}
	memcpy(host, name, length);
	host[length] = '\0';
	if (getaddrinfo(length ? host : NULL, colon + 1, &hints, &found)) {
		errno = EADDRNOTAVAIL;
		return -1;
	}
	listener = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (listener >= 0 && (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
			      bind(listener, found->ai_addr, found->ai_addrlen) < 0 || listen(listener, 64) < 0)) {
		int error = errno;

		close(listener);
		listener = -1;
		errno = error;
	}
	freeaddrinfo(found);
	return listener;
}

/* Of a connection's process. */
struct beginning {
	const struct settings *settings;
	SSL_CTX *context;
	struct accounts *accounts;
	const char *peer;
	pid_t parent;
	sigset_t mask;
};

enum beginning_descriptor { BEGINNING_SOCKET, BEGINNING_ACCOUNTS, BEGINNING_DESCRIPTORS };

static void connection_run(void *argument, const int descriptors[STARTER_DESCRIPTORS_MAX])
{
	const struct beginning *beginning = argument;

	log_forked();
	sigprocmask(SIG_SETMASK, &beginning->mask, NULL);
	/* What comes over the network is read as nobody who could harm others. The change clears the signal. */
	if (process_identity_take(&beginning->accounts->executors->identity) < 0)
		_exit(EXIT_FAILURE);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	control_closing_set(NULL);
	accounts_forget(beginning->accounts);
	if (getppid() == beginning->parent)
		connection_serve(beginning->settings, beginning->context, descriptors[BEGINNING_SOCKET],
				 beginning->peer, descriptors[BEGINNING_ACCOUNTS]);
}

static void connection_start(const struct settings *settings, SSL_CTX *context, struct accounts *accounts, int socket,
			     const char *host, const char *port, bool is_familiar)
{
	struct beginning beginning = {
		.settings = settings, .context = context, .accounts = accounts, .parent = getpid()};
	int descriptors[BEGINNING_DESCRIPTORS] = {[BEGINNING_SOCKET] = socket};
	struct connection *connection = connection_add(accounts, host, port, &descriptors[BEGINNING_ACCOUNTS]);

	if (!connection) {
		log_write_limited(&accounts->refusals, LOG_LEVEL_WARNING, "%s: refused: %s", host, strerror(errno));
		return;
	}
	connection->is_familiar = is_familiar;
	beginning.peer = connection->peer;
	sigprocmask(SIG_SETMASK, NULL, &beginning.mask);
	connection->process = starter_start(connection_run, &beginning, descriptors, BEGINNING_DESCRIPTORS);
	if (connection->process < 0)
		log_write_limited(&accounts->refusals, LOG_LEVEL_WARNING, "%s: refused: %s", connection->peer,
				  strerror(errno));
	close(descriptors[BEGINNING_ACCOUNTS]);
	if (connection->process < 0)
		connection_remove(connection);
}

static void connection_accept(const struct settings *settings, SSL_CTX *context, int listener,
			      struct accounts *accounts)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	int socket = accept4(listener, (struct sockaddr *)&address, &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
	char host[NI_MAXHOST] = "?";
	char port[NI_MAXSERV] = "?";
	bool is_familiar;

	if (socket < 0) {
		/* Out of descriptors: the connection stays in the queue, and would be reported again at once. */
		if (errno == EMFILE || errno == ENFILE)
			poll(NULL, 0, ACCEPT_RETRY_MS);
		return;
	}
	getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	is_familiar = stranger_is_familiar(accounts, host);
	if (stranger_room_make(accounts, host, is_familiar))
		connection_start(settings, context, accounts, socket, host, port, is_familiar);
	else
		log_write_limited(&accounts->refusals, LOG_LEVEL_INFO, "%s:%s: refused: too many connections", host,
				  port);
	close(socket);
}

/* True: it is to stop. */
static bool signals_take(struct accounts *accounts, int signal_file)
{
	struct signalfd_siginfo information;
	pid_t process;
	int status;

	while (read(signal_file, &information, sizeof(information)) == sizeof(information)) {
		if (information.ssi_signo == SIGCHLD)
			continue;
		log_info("Stopping");
		return true;
	}
	while ((process = waitpid(-1, &status, WNOHANG)) > 0)
		connection_reaped(accounts, process, status);
	return false;
}

/* The main process's waits: listener, signals, then the connections' processes that may ask. */
static size_t waits_make(const struct accounts *accounts, struct pollfd *waits, size_t count, size_t most)
{
	const struct connection *connection;

	LIST_FOREACH(connection, &accounts->connections, link)
	{
		if (connection->socket >= 0 && !connection->is_ending && count < most)
			waits[count++] = (struct pollfd){.fd = connection->socket,
							 .events = connection->end.is_owed ? POLLOUT : POLLIN};
	}
	return count;
}

static void questions_answer(struct accounts *accounts, const struct pollfd *waits, size_t count)
{
	struct connection *connection;

	for (size_t i = 0; i < count; i++) {
		if (!waits[i].revents)
			continue;
		LIST_FOREACH(connection, &accounts->connections, link)
		{
			if (connection->socket == waits[i].fd)
				break;
		}
		if (connection)
			connection_answer(accounts, connection);
	}
}

/* How long to wait for something before executors are looked at; -1: there is nobody to look at. */
static int silence_wait(const struct settings *settings, const struct accounts *accounts)
{
	unsigned interval_ms = standstill_interval(&settings->executor_limits);

	return interval_ms && !LIST_EMPTY(&accounts->connections) ? (int)interval_ms : -1;
}

static int serve(const struct settings *settings, SSL_CTX *context, int listener, struct executors *executors)
{
	enum { LISTENER, SIGNALS, FIRST_CONNECTION };
	const unsigned connections_max = 2 * settings->connections_max + OTHERS_MAX;
	size_t most = FIRST_CONNECTION + 2 * (size_t)connections_max;
	struct pollfd *waits = calloc(most, sizeof(*waits));
	struct accounts accounts = {
		.programs_max = settings->connections_max,
		.connections_max = connections_max,
		.refusals = LOG_LIMIT(1, 20),
		.executors = executors,
	};
	int status = EXIT_FAILURE;
	sigset_t signals;
	int signal_file;

	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	control_closing_set(closer_close);
	signal_file = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!waits || signal_file < 0) {
		free(waits);
		return EXIT_FAILURE;
	}
	service_ready_tell();
	for (;;) {
		size_t count;

		waits[LISTENER] = (struct pollfd){.fd = listener, .events = POLLIN};
		waits[SIGNALS] = (struct pollfd){.fd = signal_file, .events = POLLIN};
		count = waits_make(&accounts, waits, FIRST_CONNECTION, most);
		if (poll(waits, count, silence_wait(settings, &accounts)) < 0 && errno != EINTR)
			break;
		questions_answer(&accounts, waits + FIRST_CONNECTION, count - FIRST_CONNECTION);
		accounts_silence_look(&accounts, &settings->executor_limits);
		if (signals_take(&accounts, signal_file)) {
			/* The connections' processes are killed with this one. */
			status = EXIT_SUCCESS;
			break;
		}
		if (waits[LISTENER].revents)
			connection_accept(settings, context, listener, &accounts);
	}
	free(waits);
	return status;
}

/* Whether what the settings name is there; nothing is started. The exit code. */
static int settings_look(const struct settings *settings)
{
	char text[160];
	int file = open(settings->credentials, O_RDONLY | O_CLOEXEC);
	SSL_CTX *context = file < 0 ? NULL : credentials_load(file, true, text, sizeof(text));
	bool is_good = context != NULL;

	if (!context)
		log_error("credentials: %s: %s", settings->credentials, file < 0 ? strerror(errno) : text);
	if (access(settings->executor, X_OK) < 0) {
		log_error("executor: %s: %s", settings->executor, strerror(errno));
		is_good = false;
	}
	/* A name without a folder is looked for by the dynamic linker. */
	if (strchr(settings->driver, '/') && access(settings->driver, R_OK) < 0) {
		log_error("driver: %s: %s", settings->driver, strerror(errno));
		is_good = false;
	}
	SSL_CTX_free(context);
	if (file >= 0)
		close(file);
	if (is_good)
		log_info("The options are right");
	return is_good ? EXIT_SUCCESS : SETTINGS_EXIT_WRONG;
}

int main(int count, char **arguments)
{
	struct executors executors = {.cache = {.remove = executors_cache_remove}};
	struct settings settings;
	char text[160];
	SSL_CTX *context = NULL;
	int file = -1;
	int listener = -1;
	int code = EXIT_FAILURE;

	log_open(NULL);
	if (settings_read(count, arguments, &settings, &executors) < 0)
		return SETTINGS_EXIT_WRONG;
	if (settings.checks_only)
		return settings_look(&settings);
	signal(SIGPIPE, SIG_IGN);
	file = open(settings.credentials, O_RDONLY | O_CLOEXEC);
	if (file < 0 || !(context = credentials_load(file, true, text, sizeof(text)))) {
		log_error("%s: %s", settings.credentials, file < 0 ? strerror(errno) : text);
		code = SETTINGS_EXIT_WRONG;
	} else if ((listener = listener_open(settings.listen)) < 0) {
		log_error("%s: %s", settings.listen, strerror(errno));
	} else if (starter_open() < 0) {
		log_error("No thread: %s", strerror(errno));
	} else {
		log_info("vgpu-worker " VGPU_VERSION " listens on %s, driver %s", settings.listen, settings.driver);
		compute_cache_clean(&executors.cache, NULL, NULL);
		executors.groups = executor_groups_open(executors.groups_setting, GROUP_LEAF);
		executor_groups_clean(executors.groups);
		code = serve(&settings, context, listener, &executors);
	}
	if (listener >= 0)
		close(listener);
	if (file >= 0)
		close(file);
	SSL_CTX_free(context);
	executor_groups_close(executors.groups);
	return code;
}
