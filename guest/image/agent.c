/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first process of a test guest after its init script: carries out what
 * the test host asks for (agent.h) and reaps every orphan.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent.h"

#define CHUNK_BYTES  65536
#define PATH_BYTES   4096
#define EXIT_TIMEOUT 124

static int port;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* While the host is away, reading gives 0 and writing blocks. */
static void port_read(void *buffer, size_t bytes)
{
	char *at = buffer;

	while (bytes > 0) {
		ssize_t got = read(port, at, bytes);

		if (got > 0) {
			at += got;
			bytes -= (size_t)got;
		} else if (got == 0) {
			usleep(20000);
		} else if (errno != EINTR) {
			die("agent: read");
		}
	}
}

static void port_write(const void *buffer, size_t bytes)
{
	const char *at = buffer;

	while (bytes > 0) {
		ssize_t put = write(port, at, bytes);

		if (put > 0) {
			at += put;
			bytes -= (size_t)put;
		} else if (put < 0 && errno != EINTR) {
			die("agent: write");
		}
	}
}

static void reply(enum agent_type type, uint32_t status, const void *body, uint32_t bytes)
{
	struct agent_header header = {.magic = AGENT_MAGIC, .type = type, .status = status, .bytes = bytes};

	port_write(&header, sizeof(header));
	port_write(body, bytes);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Passes on what is there after waiting a little for it; false at the end of the output. */
static bool output_pass(int output, int wait_ms)
{
	static char chunk[CHUNK_BYTES];
	struct pollfd watch = {.fd = output, .events = POLLIN};
	ssize_t got;

	if (poll(&watch, 1, wait_ms) <= 0)
		return true;
	got = read(output, chunk, sizeof(chunk));
	if (got > 0)
		reply(AGENT_OUTPUT, 0, chunk, (uint32_t)got);
	return got > 0 || (got < 0 && errno == EAGAIN);
}

/* True when the command has ended; orphans that end meanwhile are reaped too. */
static bool child_ended(pid_t child, uint32_t *ret_status)
{
	int status;
	pid_t ended;

	while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
		if (ended == child) {
			*ret_status =
				WIFEXITED(status) ? (uint32_t)WEXITSTATUS(status) : 128u + (uint32_t)WTERMSIG(status);
			return true;
		}
	}
	return false;
}

/* The end is that of the command, even if something that it left behind still holds its output. */
static uint32_t command_follow(pid_t child, int output, int64_t deadline)
{
	uint32_t status = EXIT_TIMEOUT;
	bool open = true;
	struct pollfd rest = {.fd = output, .events = POLLIN};

	while (!child_ended(child, &status)) {
		if (now_ms() >= deadline) {
			kill(-child, SIGKILL);
			waitpid(child, NULL, 0);
			return EXIT_TIMEOUT;
		}
		if (open)
			open = output_pass(output, 5);
		else
			usleep(2000);
	}
	while (open && poll(&rest, 1, 0) > 0)
		open = output_pass(output, 0);
	return status;
}

static void run(char *body, uint32_t bytes)
{
	uint32_t timeout, status;
	int64_t deadline;
	int output[2];
	pid_t child;

	if (bytes <= sizeof(timeout)) {
		reply(AGENT_DONE, EXIT_TIMEOUT, NULL, 0);
		return;
	}
	memcpy(&timeout, body, sizeof(timeout));
	deadline = now_ms() + timeout;
	if (pipe2(output, O_CLOEXEC) != 0)
		die("agent: pipe");
	child = fork();
	if (child < 0)
		die("agent: fork");
	if (child == 0) {
		int nothing = open("/dev/null", O_RDWR);

		setsid();
		dup2(nothing, 0);
		dup2(output[1], 1);
		dup2(output[1], 2);
		execl("/bin/sh", "sh", "-c", body + sizeof(timeout), (char *)NULL);
		_exit(127);
	}
	close(output[1]);
	status = command_follow(child, output[0], deadline);
	close(output[0]);
	reply(AGENT_DONE, status, NULL, 0);
}

static uint32_t put(const char *body, uint32_t bytes)
{
	uint32_t mode, path_bytes;
	char path[PATH_BYTES];
	const char *at;
	size_t left;
	int file;

	if (bytes < 8)
		return EINVAL;
	memcpy(&mode, body, sizeof(mode));
	memcpy(&path_bytes, body + 4, sizeof(path_bytes));
	if (path_bytes >= sizeof(path) || path_bytes > bytes - 8)
		return EINVAL;
	memcpy(path, body + 8, path_bytes);
	path[path_bytes] = '\0';
	file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode & 07777);
	if (file < 0)
		return (uint32_t)errno;
	at = body + 8 + path_bytes;
	left = bytes - 8 - path_bytes;
	while (left > 0) {
		ssize_t written = write(file, at, left);

		if (written <= 0) {
			uint32_t error = (uint32_t)errno;

			close(file);
			return error;
		}
		at += written;
		left -= (size_t)written;
	}
	if (fchmod(file, mode & 07777) != 0 || close(file) != 0)
		return (uint32_t)errno;
	return 0;
}

static uint32_t get(const char *path)
{
	static char chunk[CHUNK_BYTES];
	uint32_t error = 0;
	ssize_t got;
	int file = open(path, O_RDONLY | O_CLOEXEC);

	if (file < 0)
		return (uint32_t)errno;
	while ((got = read(file, chunk, sizeof(chunk))) > 0)
		reply(AGENT_OUTPUT, 0, chunk, (uint32_t)got);
	if (got < 0)
		error = (uint32_t)errno;
	close(file);
	return error;
}

static void request(const struct agent_header *header, char *body)
{
	switch (header->type) {
	case AGENT_RUN:
		run(body, header->bytes);
		break;
	case AGENT_PUT:
		reply(AGENT_DONE, put(body, header->bytes), NULL, 0);
		break;
	case AGENT_GET:
		reply(AGENT_DONE, get(body), NULL, 0);
		break;
	default:
		reply(AGENT_DONE, EINVAL, NULL, 0);
	}
}

/* The port by its name, since the numbering depends on what else is there. */
static int port_open(void)
{
	static const char folder[] = "/sys/class/virtio-ports";
	int opened = -1;
	struct dirent *entry;
	DIR *ports = opendir(folder);

	while (ports && opened < 0 && (entry = readdir(ports))) {
		char path[PATH_BYTES], name[64] = "";
		FILE *file;

		snprintf(path, sizeof(path), "%s/%s/name", folder, entry->d_name);
		file = fopen(path, "re");
		if (!file)
			continue;
		if (fgets(name, sizeof(name), file) && strcmp(name, AGENT_PORT "\n") == 0) {
			snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
			opened = open(path, O_RDWR | O_CLOEXEC);
		}
		fclose(file);
	}
	if (ports)
		closedir(ports);
	return opened;
}

int main(void)
{
	port = port_open();
	if (port < 0) {
		fprintf(stderr, "agent: there is no virtio-serial port " AGENT_PORT "\n");
		return 1;
	}
	reply(AGENT_HELLO, 0, NULL, 0);
	for (;;) {
		struct agent_header header;
		char *body;

		port_read(&header, sizeof(header));
		if (header.magic != AGENT_MAGIC || header.bytes > AGENT_BYTES_MAX) {
			fprintf(stderr, "agent: out of step with the host\n");
			return 1;
		}
		body = malloc((size_t)header.bytes + 1);
		if (!body)
			die("agent: memory");
		port_read(body, header.bytes);
		body[header.bytes] = '\0';
		request(&header, body);
		free(body);
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
	}
}
