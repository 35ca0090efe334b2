/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into vgpu-worker: its pairs of sockets for packets have room for as little as Linux allows, which is two
 * answers.
 */
#include <dlfcn.h>
#include <sys/socket.h>

__attribute__((visibility("default"))) int socketpair(int domain, int type, int protocol, int sockets[2])
{
	int (*real)(int, int, int, int *) = (int (*)(int, int, int, int *))dlsym(RTLD_NEXT, "socketpair");
	const int least = 1;
	int result = real(domain, type, protocol, sockets);

	if (result == 0 && (type & SOCK_SEQPACKET) == SOCK_SEQPACKET) {
		setsockopt(sockets[0], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
		setsockopt(sockets[1], SOL_SOCKET, SO_SNDBUF, &least, sizeof(least));
	}
	return result;
}
