/* SPDX-License-Identifier: Apache-2.0 */
/* The guest's way to XenStore, against a peer that answers as xenstored does, and as it never would. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "xenbus.h"

struct message {
	uint32_t type;
	uint32_t request;
	uint32_t transaction;
	uint32_t bytes;
};

enum { READ = 2, WATCH = 4, WRITE = 11, EVENT = 15, ERROR = 16 };

/* What the peer sends for the one request that it expects. */
struct answer {
	uint32_t type;
	const char *payload;
	uint32_t bytes;
	uint32_t bytes_claimed; /* 0: as many as there are */
	unsigned events_before;
};

static void all_write(int fd, const void *data, size_t bytes)
{
	/* Who has had enough may be gone. */
	if (bytes > 0 && write(fd, data, bytes) != (ssize_t)bytes)
		_exit(2);
}

static void all_read(int fd, void *data, size_t bytes)
{
	for (size_t done = 0; done < bytes;) {
		ssize_t got = read(fd, (char *)data + done, bytes - done);

		if (got <= 0)
			_exit(3);
		done += (size_t)got;
	}
}

/* In a process of its own; byte by byte, for the kernel may hand out less than was asked for. */
_Noreturn static void peer_run(int fd, const struct answer *answer, const char *wanted, uint32_t wanted_bytes)
{
	static const char event[] = "data/x\0vgpu";
	struct message header;
	char payload[4096];

	all_read(fd, &header, sizeof(header));
	if (header.bytes != wanted_bytes || header.transaction != 0)
		_exit(4);
	all_read(fd, payload, header.bytes);
	if (memcmp(payload, wanted, wanted_bytes) != 0)
		_exit(5);
	for (unsigned i = 0; i < answer->events_before; i++) {
		struct message before = {.type = EVENT, .bytes = sizeof(event)};

		all_write(fd, &before, sizeof(before));
		all_write(fd, event, sizeof(event));
	}
	header.type = answer->type;
	header.bytes = answer->bytes_claimed ? answer->bytes_claimed : answer->bytes;
	all_write(fd, &header, 5);
	usleep(1000);
	all_write(fd, (char *)&header + 5, sizeof(header) - 5);
	all_write(fd, answer->payload, answer->bytes);
	_exit(0);
}

struct conversation {
	struct xenbus bus;
	pid_t peer;
};

static struct conversation conversation_begin(const struct answer *answer, const char *wanted, uint32_t wanted_bytes)
{
	struct conversation conversation = {0};
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sockets), 0);
	conversation.peer = fork();
	assert_true(conversation.peer >= 0);
	if (conversation.peer == 0) {
		close(sockets[0]);
		peer_run(sockets[1], answer, wanted, wanted_bytes);
	}
	close(sockets[1]);
	conversation.bus.fd = sockets[0];
	return conversation;
}

static void conversation_end(struct conversation *conversation)
{
	int status;

	xenbus_close(&conversation->bus);
	assert_int_equal(waitpid(conversation->peer, &status, 0), conversation->peer);
	assert_int_equal(status, 0);
}

static void a_value(void **state)
{
	const struct answer answer = {.type = READ, .payload = "1 ab", .bytes = 4};
	struct conversation talk = conversation_begin(&answer, "data/offer", sizeof("data/offer"));
	char value[16];

	(void)state;
	assert_int_equal(xenbus_read(&talk.bus, "data/offer", value, sizeof(value)), 4);
	assert_memory_equal(value, "1 ab", 4);
	assert_false(xenbus_changed_take(&talk.bus, 0));
	conversation_end(&talk);
}

static void a_value_that_is_longer(void **state)
{
	const struct answer answer = {.type = READ, .payload = "0123456789", .bytes = 10};
	struct conversation talk = conversation_begin(&answer, "x", sizeof("x"));
	char value[4];

	(void)state;
	assert_int_equal(xenbus_read(&talk.bus, "x", value, sizeof(value)), 4);
	assert_memory_equal(value, "0123", 4);
	conversation_end(&talk);
}

static void a_node_that_is_not_there(void **state)
{
	const struct answer answer = {.type = ERROR, .payload = "ENOENT", .bytes = sizeof("ENOENT")};
	struct conversation talk = conversation_begin(&answer, "x", sizeof("x"));
	char value[4];

	(void)state;
	assert_int_equal(xenbus_read(&talk.bus, "x", value, sizeof(value)), -1);
	assert_int_equal(errno, ENOENT);
	conversation_end(&talk);
}

static void a_write_that_is_refused(void **state)
{
	const struct answer answer = {.type = ERROR, .payload = "EACCES", .bytes = sizeof("EACCES")};
	struct conversation talk = conversation_begin(&answer, "data/x\0value", sizeof("data/x\0value") - 1);

	(void)state;
	assert_int_equal(xenbus_write(&talk.bus, "data/x", "value"), -1);
	assert_int_equal(errno, EACCES);
	conversation_end(&talk);
}

static void watches_that_fire_meanwhile(void **state)
{
	const struct answer answer = {.type = WRITE, .payload = "OK", .bytes = sizeof("OK"), .events_before = 3};
	struct conversation talk = conversation_begin(&answer, "data/x\0value", sizeof("data/x\0value") - 1);

	(void)state;
	assert_int_equal(xenbus_write(&talk.bus, "data/x", "value"), 0);
	assert_true(xenbus_changed_take(&talk.bus, 0));
	assert_false(xenbus_changed_take(&talk.bus, 0));
	conversation_end(&talk);
}

static void a_message_that_is_none(void **state)
{
	const struct answer answer = {.type = READ, .payload = "", .bytes = 0, .bytes_claimed = 1u << 30};
	struct conversation talk = conversation_begin(&answer, "x", sizeof("x"));
	char value[4];

	(void)state;
	assert_int_equal(xenbus_read(&talk.bus, "x", value, sizeof(value)), -1);
	assert_int_equal(errno, EPROTO);
	conversation_end(&talk);
}

static void a_peer_that_ends(void **state)
{
	const struct answer answer = {.type = READ, .payload = "ab", .bytes = 2, .bytes_claimed = 8};
	struct conversation talk = conversation_begin(&answer, "x", sizeof("x"));
	char value[8];

	(void)state;
	assert_int_equal(xenbus_read(&talk.bus, "x", value, sizeof(value)), -1);
	assert_int_equal(errno, EPIPE);
	conversation_end(&talk);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_value),
		cmocka_unit_test(a_value_that_is_longer),
		cmocka_unit_test(a_node_that_is_not_there),
		cmocka_unit_test(a_write_that_is_refused),
		cmocka_unit_test(watches_that_fire_meanwhile),
		cmocka_unit_test(a_message_that_is_none),
		cmocka_unit_test(a_peer_that_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
