/* SPDX-License-Identifier: Apache-2.0 */
#include "admin_socket.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "admin.h"
#include "closer.h"
#include "executor_user.h"
#include "log.h"
#include "mediator.h"
#include "peer_stream.h"
#include "socket_file.h"

#define PEERS_MAX	  32
#define READERS_MAX	  24 /* of those */
#define REQUEST_BYTES_MAX 65536
#define OUTPUT_BYTES_MAX  (4u << 20) /* answers that wait to be read: no more requests are taken until they are */
#define SILENCE_SECONDS	  60
#define GROUPS_MAX	  256
#define REQUESTS_AT_ONCE  16

struct peer {
	LIST_ENTRY(peer) link;
	struct admin_socket *admin;
	struct peer_stream *stream;
	char who[32];
	struct admin_peer asks;
	bool is_ending; /* once what it is told was sent */
};

struct admin_socket {
	struct mediator *mediator;
	struct socket_file file;
	struct event *readable;
	struct event *pause; /* out of descriptors: tries again later */
	LIST_HEAD(, peer) peers;
	unsigned peer_count;
	unsigned reader_count;
	bool has_group;
	gid_t group;
	bool has_view_group;
	gid_t view_group;
	struct log_limit log;
};

static void peer_free(struct peer *peer)
{
	LIST_REMOVE(peer, link);
	peer->admin->peer_count--;
	peer->admin->reader_count -= !peer->asks.may_change;
	peer_stream_destroy(peer->stream);
	free(peer);
}

static bool peer_is_in_group(int socket, const struct ucred *credentials, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	socklen_t bytes = sizeof(groups);

	if (credentials->gid == group)
		return true;
	/* Linux 4.13; of more groups than these nothing is learned. */
	if (getsockopt(socket, SOL_SOCKET, SO_PEERGROUPS, groups, &bytes) < 0)
		return false;
	for (size_t i = 0; i < bytes / sizeof(groups[0]); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

enum right { RIGHT_NONE, RIGHT_TO_LOOK, RIGHT_TO_CHANGE };

static enum right right_of(const struct admin_socket *admin, int socket, const struct ucred *credentials)
{
	if (credentials->uid == 0 || credentials->uid == geteuid())
		return RIGHT_TO_CHANGE;
	if (executor_user_is(admin->mediator, credentials->uid))
		return RIGHT_NONE;
	if (admin->has_group && peer_is_in_group(socket, credentials, admin->group))
		return RIGHT_TO_CHANGE;
	if (admin->has_view_group && peer_is_in_group(socket, credentials, admin->view_group))
		return RIGHT_TO_LOOK;
	return RIGHT_NONE;
}

static void answer_send(struct peer *peer, char *answer)
{
	struct evbuffer *output = peer_stream_output(peer->stream);

	if (!answer || evbuffer_add(output, answer, strlen(answer)) < 0 || evbuffer_add(output, "\n", 1) < 0)
		peer->is_ending = true;
	free(answer);
}

static void refuse(struct peer *peer, const char *code, const char *text)
{
	answer_send(peer, admin_refusal(code, text));
	peer->is_ending = true;
	peer_stream_read(peer->stream, false);
}

/* Takes the requests that are there; more of them than a few wait for the loop's next turn. */
static void requests_take(struct peer *peer)
{
	struct evbuffer *input = peer_stream_input(peer->stream);
	struct evbuffer *output = peer_stream_output(peer->stream);

	for (int i = 0; !peer->is_ending && evbuffer_get_length(output) < OUTPUT_BYTES_MAX; i++) {
		size_t bytes;
		char *line;

		if (i == REQUESTS_AT_ONCE) {
			peer_stream_defer(peer->stream);
			return;
		}
		line = evbuffer_readln(input, &bytes, EVBUFFER_EOL_LF);
		if (!line && evbuffer_get_length(input) >= REQUEST_BYTES_MAX)
			refuse(peer, ADMIN_INVALID, "the request is too long");
		if (!line)
			return;
		answer_send(peer, admin_request_take(peer->admin->mediator, &peer->asks, line, bytes));
		free(line);
	}
}

static void readable(void *argument)
{
	requests_take(argument);
}

static void written(void *argument)
{
	struct peer *peer = argument;

	if (peer->is_ending)
		peer_free(peer);
	else
		requests_take(peer);
}

static void ended(void *argument, bool is_eof)
{
	(void)is_eof;
	peer_free(argument);
}

static const struct peer_stream_handlers stream_handlers = {.readable = readable, .written = written, .ended = ended};

/* An answer that fits into the socket; whoever does not read it takes nobody's place. Closes the socket. */
static void stranger_refuse(struct admin_socket *admin, int socket, const struct ucred *credentials)
{
	char *answer =
		admin_refusal(ADMIN_DENIED, "only root and the members of the group for administration may do this");

	log_write_limited(&admin->log, LOG_LEVEL_WARNING, "[ADMIN] refused: pid=%d uid=%u", (int)credentials->pid,
			  (unsigned)credentials->uid);
	if (answer && send(socket, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL) > 0)
		(void)!send(socket, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
	free(answer);
	closer_hang_up(socket);
}

static void peer_accept(struct admin_socket *admin, int socket, const struct ucred *credentials, enum right right)
{
	struct peer *peer = calloc(1, sizeof(*peer));

	if (peer)
		peer->stream =
			peer_stream_create(admin->mediator->base, socket, REQUEST_BYTES_MAX, &stream_handlers, peer);
	if (!peer || !peer->stream) {
		free(peer);
		closer_hang_up(socket);
		return;
	}
	peer->admin = admin;
	if (credentials->uid == 0)
		snprintf(peer->who, sizeof(peer->who), "root");
	else
		snprintf(peer->who, sizeof(peer->who), "user %u", (unsigned)credentials->uid);
	peer->asks = (struct admin_peer){
		.who = peer->who,
		.may_change = right == RIGHT_TO_CHANGE,
		.log = &admin->log,
	};
	LIST_INSERT_HEAD(&admin->peers, peer, link);
	admin->peer_count++;
	admin->reader_count += !peer->asks.may_change;
	peer_stream_silence_set(peer->stream, SILENCE_SECONDS);
	if (admin->peer_count > PEERS_MAX || (!peer->asks.may_change && admin->reader_count > READERS_MAX))
		refuse(peer, ADMIN_FAILED, "too many administrators are connected");
	else
		peer_stream_read(peer->stream, true);
}

static void connection_waits(evutil_socket_t listening, short what, void *argument)
{
	struct admin_socket *admin = argument;
	bool is_behind = closer_is_behind();
	int socket = is_behind ? -1 : accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct ucred credentials;
	socklen_t bytes = sizeof(credentials);
	enum right right;
	const struct timeval later = {.tv_sec = 1};

	(void)what;
	if (socket < 0) {
		if (is_behind || errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			event_del(admin->readable);
			event_add(admin->pause, &later);
		}
		return;
	}
	if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &bytes) < 0) {
		closer_hang_up(socket);
		return;
	}
	right = right_of(admin, socket, &credentials);
	if (right == RIGHT_NONE)
		stranger_refuse(admin, socket, &credentials);
	else if (admin->peer_count >= 2 * PEERS_MAX)
		/* Those that are too many take a place too until they have read so: no more than that. */
		closer_hang_up(socket);
	else
		peer_accept(admin, socket, &credentials, right);
}

static void pause_ended(evutil_socket_t none, short what, void *argument)
{
	struct admin_socket *admin = argument;

	(void)none;
	(void)what;
	event_add(admin->readable, NULL);
}

static bool listen_begin(struct admin_socket *admin)
{
	if (socket_file_open(&admin->file) != SOCKET_FILE_OPEN)
		return false;
	admin->readable =
		event_new(admin->mediator->base, admin->file.socket, EV_READ | EV_PERSIST, connection_waits, admin);
	admin->pause = evtimer_new(admin->mediator->base, pause_ended, admin);
	return admin->readable && admin->pause && event_add(admin->readable, NULL) == 0;
}

static void listen_end(struct admin_socket *admin)
{
	if (admin->readable)
		event_free(admin->readable);
	admin->readable = NULL;
	if (admin->pause)
		event_free(admin->pause);
	admin->pause = NULL;
	socket_file_close(&admin->file);
}

static bool group_find(const char *setting, const char *configured, const char *usual, gid_t *ret_group)
{
	const struct group *group = getgrnam(configured ? configured : usual);

	if (group)
		*ret_group = group->gr_gid;
	else if (configured)
		log_warning("%s: there is no group \"%s\"", setting, configured);
	return group != NULL;
}

struct admin_socket *admin_socket_open(struct mediator *mediator)
{
	const struct configuration *configuration = &mediator->configuration;
	const char *name = configuration->admin_group ? configuration->admin_group : ADMIN_GROUP;
	struct admin_socket *admin;
	mode_t mode;
	char path[SOCKET_FILE_PATH_BYTES];

	/* Beside the first socket, which only we can have opened. */
	if (configuration->admin_socket)
		snprintf(path, sizeof(path), "%s", configuration->admin_socket);
	else if (configuration->sockets.count)
		snprintf(path, sizeof(path), "%s.admin", configuration->sockets.values[0]);
	else
		snprintf(path, sizeof(path), ADMIN_SOCKET_PATH);
	if (strcmp(path, ADMIN_SOCKET_NONE) == 0)
		return NULL;
	admin = calloc(1, sizeof(*admin));
	if (!admin)
		return NULL;
	*admin = (struct admin_socket){.mediator = mediator, .log = LOG_LIMIT(1, 5)};
	LIST_INIT(&admin->peers);
	admin->has_group = group_find("admin-group", configuration->admin_group, ADMIN_GROUP, &admin->group);
	admin->has_view_group =
		group_find("view-group", configuration->view_group, ADMIN_VIEW_GROUP, &admin->view_group);
	mode = admin->has_view_group ? 0666 : admin->has_group ? 0660 : 0600;
	socket_file_init(&admin->file, path, mode, admin->has_group ? name : NULL, false);
	admin->file.type = SOCK_STREAM;
	if (listen_begin(admin))
		log_info("[ADMIN] vgpu-admin connects to %s", path);
	else
		log_error("[ADMIN] %s: vgpu-admin cannot connect", path);
	return admin;
}

void admin_socket_check(struct admin_socket *admin)
{
	if (!admin || socket_file_exists(&admin->file))
		return;
	listen_end(admin);
	listen_begin(admin);
}

bool admin_socket_look(const struct admin_socket *admin, char *text, size_t bytes)
{
	bool is_good = !admin || socket_file_exists(&admin->file);

	if (!admin)
		snprintf(text, bytes, "none is asked for");
	else
		snprintf(text, bytes, "%s%s", admin->file.path, is_good ? "" : ": it cannot be opened: see the log");
	return is_good;
}

void admin_socket_close(struct admin_socket *admin)
{
	if (!admin)
		return;
	while (!LIST_EMPTY(&admin->peers))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): peer_free() unlinks what it frees */
		peer_free(LIST_FIRST(&admin->peers));
	listen_end(admin);
	free(admin);
}
