/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A XenStore in the place of libxenstore, for vgpu-xen-jobs: domain 5 writes its path without end, so that there is
 * always one more event; domain 7 submits a job when the one before was answered. What is answered is said on standard
 * output.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore.h>

#define FLOODER "5"
#define HONEST	"7"
#define REQUEST "{\"operation\": \"vector_add\"}"

static int readable[2];
static bool domains_fire = true;
static bool flooder_is_watched;
static bool honest_fires;
static unsigned honest_number = 1;
static unsigned flooder_number;

struct xs_handle *xs_open(unsigned long flags)
{
	(void)flags;
	if (pipe(readable) < 0 || write(readable[1], "", 1) != 1)
		return NULL;
	return (struct xs_handle *)(void *)readable;
}

int xs_fileno(struct xs_handle *store)
{
	(void)store;
	return readable[0];
}

bool xs_watch(struct xs_handle *store, const char *path, const char *token)
{
	(void)store;
	(void)path;
	flooder_is_watched |= strcmp(token, FLOODER) == 0;
	honest_fires |= strcmp(token, HONEST) == 0;
	return true;
}

bool xs_unwatch(struct xs_handle *store, const char *path, const char *token)
{
	(void)store;
	(void)path;
	(void)token;
	return true;
}

/* As the library has them: one block. */
static char **strings_make(const char *first, const char *second)
{
	size_t bytes = strlen(first) + 1;
	char **strings = malloc(2 * sizeof(*strings) + bytes + strlen(second) + 1);

	if (!strings)
		return NULL;
	strings[0] = (char *)(strings + 2);
	strings[1] = strings[0] + bytes;
	strcpy(strings[0], first);
	strcpy(strings[1], second);
	return strings;
}

char **xs_check_watch(struct xs_handle *store)
{
	(void)store;
	if (domains_fire) {
		domains_fire = false;
		return strings_make("@introduceDomain", "domains");
	}
	if (honest_fires) {
		honest_fires = false;
		return strings_make("", HONEST);
	}
	if (flooder_is_watched)
		return strings_make("", FLOODER);
	errno = EAGAIN;
	return NULL;
}

char **xs_directory(struct xs_handle *store, xs_transaction_t transaction, const char *path, unsigned *count)
{
	(void)store;
	(void)transaction;
	(void)path;
	*count = 2;
	return strings_make(FLOODER, HONEST);
}

static bool ends_with(const char *path, const char *end)
{
	size_t bytes = strlen(path);

	return bytes >= strlen(end) && strcmp(path + bytes - strlen(end), end) == 0;
}

void *xs_read(struct xs_handle *store, xs_transaction_t transaction, const char *path, unsigned *bytes)
{
	bool is_honest = strncmp(path, "/local/domain/" HONEST "/", 16) == 0;
	char text[64] = REQUEST;

	(void)store;
	(void)transaction;
	if (ends_with(path, "/submit"))
		snprintf(text, sizeof(text), "%u 1", is_honest ? honest_number : ++flooder_number);
	else if (!ends_with(path, "/request/0"))
		return NULL;
	*bytes = (unsigned)strlen(text);
	return strdup(text);
}

bool xs_write(struct xs_handle *store, xs_transaction_t transaction, const char *path, const void *data, unsigned bytes)
{
	(void)store;
	(void)transaction;
	if (!ends_with(path, "/done"))
		return true;
	printf("%s %.*s\n", path, (int)bytes, (const char *)data);
	fflush(stdout);
	if (strncmp(path, "/local/domain/" HONEST "/", 16) == 0) {
		honest_number++;
		honest_fires = true;
	}
	return true;
}

bool xs_rm(struct xs_handle *store, xs_transaction_t transaction, const char *path)
{
	(void)store;
	(void)transaction;
	(void)path;
	return true;
}

/* Of channels over grants, which are not there. */
xs_transaction_t xs_transaction_start(struct xs_handle *store)
{
	(void)store;
	return XBT_NULL;
}

bool xs_transaction_end(struct xs_handle *store, xs_transaction_t transaction, bool abort)
{
	(void)store;
	(void)transaction;
	(void)abort;
	return false;
}
