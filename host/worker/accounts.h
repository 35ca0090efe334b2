/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What tenants have charged on this worker: one tenant page (vgpu_schedule.h) for all programs of a tenant, so that
 * limits hold for them together and exactly, without asking the host. The service's main process keeps them; the
 * process of a connection asks for its tenant's page, and when its executor is gone, however it ended, what that one
 * had charged is given back.
 *
 * A tenant is known by the certificate of its host (none with a pre-shared key) and by the names that the host says:
 * no host reaches another's accounts.
 */
#ifndef WORKER_ACCOUNTS_H
#define WORKER_ACCOUNTS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "executor_group.h"
#include "gpus.h"
#include "hang.h"
#include "link.h"
#include "log.h"
#include "standstill.h"

#define ACCOUNT_CERTIFICATE_BYTES 32
/* Texts: an address with its zone, and a port behind it. */
#define CONNECTION_HOST_BYTES 72
#define CONNECTION_PEER_BYTES (CONNECTION_HOST_BYTES + 8)

/* Compared as bytes: what is behind a text's end is zero. */
struct account_key {
	uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES]; /* SHA-256 */
	char host[LINK_HOST_BYTES];
	char tenant[VGPU_CONTROL_TENANT_BYTES];
};

/* Which programs of a tenant see each other: a VM's, or those of one process namespace of the host. */
struct account_group {
	uint32_t vm_id;
	uint32_t reserved;
	uint64_t process_namespace; /* 0: of the host's local programs none sees another */
};

/* Of a channel, for its lanes. */
enum account_lane_file {
	ACCOUNT_LANE_MEMORY,
	ACCOUNT_LANE_PAGE,
	ACCOUNT_LANE_WAKE,
	ACCOUNT_LANE_BELL,
	ACCOUNT_LANE_FILES
};

/* A tenant, while it has programs here. */
struct account {
	LIST_ENTRY(account) link;
	struct account_key key;
	int file;
	struct vgpu_tenant_page *page;
	unsigned connections;
	uid_t user;		     /* of its executors; 0: none of its own */
	struct executor_group group; /* of them, once there was one */
	char label[LINK_HOST_BYTES + VGPU_CONTROL_TENANT_BYTES + 8];
};

/* How an executor ends, for the connection's process. All zero: it does not. */
struct connection_end {
	bool is_known; /* and then it stays so */
	bool is_owed;  /* there was no room in the socket yet: the process is told before anything else */
	enum vgpu_channel_error error;
	uint32_t pci_place; /* of EXECUTOR_HUNG: the GPU; UINT32_MAX: it is not known */
	char text[VGPU_CONTROL_TEXT_BYTES];
};

/* The process of a connection, as the main process knows it. */
struct connection {
	LIST_ENTRY(connection) link;
	char host[CONNECTION_HOST_BYTES];
	char peer[CONNECTION_PEER_BYTES];    /* with its port */
	bool is_familiar;		     /* when it came somebody with credentials was here from its host */
	bool is_known;			     /* it has shown credentials */
	bool is_ending;			     /* its process was killed */
	pid_t process;			     /* 0: it is gone, its executor not yet */
	pid_t executor;			     /* 0: none that is still there */
	uint64_t executor_killed_ms;	     /* when it was, by us (CLOCK_MONOTONIC); 0: it was not */
	struct connection_end end;	     /* of its executor */
	struct standstill standstill;	     /* of its executor */
	struct hang_places hang_places;	     /* the same */
	char silence[STANDSTILL_TEXT_BYTES]; /* for which it is to be ended in this look; empty: it is not */
	bool has_begun;			     /* it had its executor; from then on it asks as one does */
	int socket;			     /* to the process; -1: closed */
	struct account *account;
	struct account_group group;
	const volatile struct vgpu_executor_counters *counters; /* a page that its executor writes */
	struct share_table *shares;				/* what that one has published; NULL: nothing */
	/* Its lanes (lanes.h): how many may still come, what they say and get. */
	unsigned lanes_left;
	uint8_t lane_token[LINK_TOKEN_BYTES];
	int lane_files[ACCOUNT_LANE_FILES];
	struct connection *lane_of; /* it is one of another connection's, itself if that is gone; NULL: it is none */
};

LIST_HEAD(connection_list, connection);
LIST_HEAD(account_list, account);

/* Whose driver is waited for. */
struct hung_gpu {
	uint32_t pci_place; /* VGPU_PCI_PLACE */
	uint64_t hung_ms;   /* when an executor was last ended that was stuck as other tenants' were; 0: none */
};

struct executors;

struct accounts {
	unsigned programs_max;	  /* connections with an account */
	unsigned connections_max; /* without credentials, and as many with, lanes not counted */
	struct log_limit refusals;
	struct executors *executors;
	uint64_t silence_looked_ms;	/* accounts_silence_look() */
	struct hung_gpu gpus[GPUS_MAX]; /* that executors are stuck with, or lately were: bits in one look (hang.h) */
	unsigned gpu_count;
	uint64_t all_hung_ms; /* as of a GPU, of executors that have said of none that they use it */
	struct connection_list connections;
	struct account_list accounts;
};

/* The main process: a new connection, before its process is there. NULL with errno; *ret_socket is for the process. */
struct connection *connection_add(struct accounts *accounts, const char *host, const char *port, int *ret_socket);
/* Its process was not started, or it is all gone. */
void connection_remove(struct connection *connection);
/* Its socket is readable. */
void connection_answer(struct accounts *accounts, struct connection *connection);
/* A process was reaped, which ended so (waitpid): a connection's, its executor, or neither. */
void connection_reaped(struct accounts *accounts, pid_t process, int status);
/* What is owed to its process, as far as there is room. False: there is none yet. */
bool connection_end_send(struct connection *connection);
/* account_ends.c: its executor, which is not reaped yet, and one that is. */
void connection_executor_kill(struct connection *connection);
void connection_executor_reaped(struct connection *connection, int status);
/*
 * Kills executors that have stood still for longer than they may. Their connections' processes are told at once, for
 * the kernel may not let one go that is stuck.
 */
void accounts_silence_look(struct accounts *accounts, const struct standstill_limits *limits);

/* The connection's process: the pages that it has mapped by being a copy of the main one are not for it. */
void accounts_forget(struct accounts *accounts);
/* Its peer has shown credentials. Where there are too many such, the process is ended. 0, or -1 with errno. */
int account_known_tell(int socket);
/* Its peer is refused: why, for the log. */
void account_refusal_tell(int socket, const char *reason);
/* Its tenant's page and the page for its executor's counters. 0, or -1 with errno. */
int account_ask(int socket, const struct account_key *key, const struct account_group *group, int *ret_tenant,
		int *ret_counters);
/* It may have so many lanes, by a token and with the same certificate. Before its executor is there. 0, or -1 with
 * errno. */
int account_lanes_tell(int socket, const uint8_t token[LINK_TOKEN_BYTES], unsigned count,
		       const int files[ACCOUNT_LANE_FILES]);
/* The process of a lane: its channel's files. -1 with errno: there is no such channel, or it has all its lanes. */
int account_lane_ask(int socket, const uint8_t token[LINK_TOKEN_BYTES],
		     const uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES], int ret_files[ACCOUNT_LANE_FILES]);
/*
 * Has an executor started as its tenant's user, on that end of its control socket and with that one for what
 * it writes; 'is_lasting': its tenant is known again by its name. Its number, or -1 with errno. It is killed when the
 * connection's process ends.
 */
pid_t account_executor_ask(int socket, bool is_lasting, int control, int log);
/* From then on it passes its executor's questions about other processes on, and the answers back (vgpu_control.h). */

#endif
