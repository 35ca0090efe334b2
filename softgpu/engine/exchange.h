/* SPDX-License-Identifier: Apache-2.0 */
/* What the lowering tells the exchange handlers in ins->op and ins->flags. */
#ifndef SOFTGPU_EXCHANGE_H
#define SOFTGPU_EXCHANGE_H

enum {
	EXCHANGE_SYNC = 1, /* in ins->flags: ins->guard holds a member mask */
};

enum shuffle_mode {
	SHUFFLE_UP,
	SHUFFLE_DOWN,
	SHUFFLE_BFLY,
	SHUFFLE_IDX,
};

enum vote_mode {
	VOTE_ALL,
	VOTE_ANY,
	VOTE_UNI,
	VOTE_BALLOT,
};

enum match_mode {
	MATCH_ANY,
	MATCH_ALL,
};

enum reduce_operation {
	REDUCE_ADD,
	REDUCE_MIN_U,
	REDUCE_MAX_U,
	REDUCE_MIN_S,
	REDUCE_MAX_S,
	REDUCE_AND,
	REDUCE_OR,
	REDUCE_XOR,
};

#endif
