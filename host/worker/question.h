/* SPDX-License-Identifier: Apache-2.0 */
/* What the process of a connection and the service's main one say to each other before there is an executor. */
#ifndef WORKER_QUESTION_H
#define WORKER_QUESTION_H

#include "accounts.h"

#define QUESTION_FILES_MAX    4
#define QUESTION_REASON_BYTES 160

enum question_kind {
	QUESTION_KNOWN = 1, /* no answer; before any other but the next */
	QUESTION_REFUSAL,   /* no answer */
	QUESTION_ACCOUNT,   /* the answer: the tenant's page, the counters */
	QUESTION_LANES,	    /* no answer; with the files of enum account_lane_file */
	QUESTION_LANE,	    /* the answer: those files */
	QUESTION_EXECUTOR,  /* with its control socket and what it writes to; the answer is of account_executors.c */
};

struct question {
	uint32_t kind;
	uint32_t is_lasting;	/* the tenant of the executor */
	struct account_key key; /* of a lane: the certificate alone */
	struct account_group group;
	uint32_t lanes;
	uint8_t token[LINK_TOKEN_BYTES];
	char reason[QUESTION_REASON_BYTES]; /* of a refusal */
};

/*
 * Bytes received, 0 at the end, or -1 with errno. The files are the caller's, close-on-exec, -1 where there is none:
 * QUESTION_FILES_MAX of them.
 */
ssize_t files_receive(int socket, void *data, size_t bytes, int ret_files[QUESTION_FILES_MAX], int flags);
void files_close(int files[QUESTION_FILES_MAX]);

/* An answer of exactly so many files. -1 with errno: it is refused, or nobody answers. */
int answer_await(int socket, size_t count, int *ret_files);

/* The main process: what account_lanes_tell(), account_lane_ask() and account_executor_ask() say. False: it is not to
 * be believed, or refused.
 */
bool lanes_register(struct connection *connection, const struct question *question, int files[QUESTION_FILES_MAX]);
bool lane_admit(struct accounts *accounts, struct connection *connection, const struct question *question);
bool executor_give(struct accounts *accounts, struct connection *connection, const struct question *question,
		   const int files[QUESTION_FILES_MAX]);
/* The connection's process is gone, and so are its lanes. */
void lanes_kill(struct accounts *accounts, struct connection *connection);
void lanes_forget(struct connection *connection);

#endif
