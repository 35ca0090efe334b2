/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of vgpu-jobs. */
#ifndef JOBS_SETTINGS_H
#define JOBS_SETTINGS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "client.h"

#define SETTINGS_SOURCES_MAX  64
#define SETTINGS_MACHINES_MAX 256
#define SETTINGS_EXIT_WRONG   2
#define SETTINGS_NAME_BYTES   64
#define SETTINGS_PEER_BYTES   56

/* Where to listen. */
struct settings_listen {
	const char *text;
	struct sockaddr_storage address;
	int length;
};

/* A VM's virtio-serial port. */
struct settings_serial {
	char name[SETTINGS_NAME_BYTES];
	uint32_t vm_id;
	const char *path;
};

/* Who a peer is, by what the host says of its connection: "vsock:CID", or an address. */
struct settings_machine {
	char peer[SETTINGS_PEER_BYTES];
	uint32_t vm_id;
};

/* Its texts are the command line's, or last as long as the program. */
struct settings {
	struct jobs jobs; /* what the command line says of it */
	struct settings_listen listens[SETTINGS_SOURCES_MAX];
	size_t listen_count;
	struct settings_serial serials[SETTINGS_SOURCES_MAX];
	size_t serial_count;
	struct settings_machine machines[SETTINGS_MACHINES_MAX];
	size_t machine_count;
	bool checks_only; /* nothing is to be started */
};

/* 0, or the exit code; a wrong command line and --help end the program. */
int settings_read(int count, char **arguments, struct settings *ret_settings);

/* Whether what they name is there: says so, and returns the exit code. */
int settings_look(const struct settings *settings);

/* JOBS_NO_VM: the operator has not said. */
uint32_t settings_vm_of_peer(const struct settings *settings, const char *peer);

/* An address as peers are compared: one of IPv4 looks like that also where a socket for both has it within IPv6. */
void settings_address_write(const struct in6_addr *address, char *text, size_t bytes);

#endif
