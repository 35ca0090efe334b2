/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into vgpu-worker: a Linux that is as VGPU_ODD_KERNEL says:
 *
 *   narrow  pairs of sockets for packets have room for as little as there can be, which is two answers
 *   keeps   who is stuck in the kernel is not ended by signals
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define API __attribute__((visibility("default")))

static bool is(const char *what)
{
	const char *kernel = getenv("VGPU_ODD_KERNEL");

	return kernel && strcmp(kernel, what) == 0;
}

static bool is_stuck(pid_t process)
{
	char path[64];
	char line[128];
	bool is_found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process);
	file = fopen(path, "re");
	while (file && !is_found && fgets(line, sizeof(line), file))
		is_found = strncmp(line, "State:\tD", 8) == 0;
	if (file)
		fclose(file);
	return is_found;
}

API int socketpair(int domain, int type, int protocol, int sockets[2])
{
	int (*real)(int, int, int, int *) = (int (*)(int, int, int, int *))dlsym(RTLD_NEXT, "socketpair");
	const int least = 1;
	int result = real(domain, type, protocol, sockets);

	if (result == 0 && (type & SOCK_SEQPACKET) == SOCK_SEQPACKET && is("narrow")) {
		setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
		setsockopt(sockets[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	}
	return result;
}

API int kill(pid_t process, int number)
{
	int (*real)(pid_t, int) = (int (*)(pid_t, int))dlsym(RTLD_NEXT, "kill");

	return is("keeps") && is_stuck(process) ? 0 : real(process, number);
}
