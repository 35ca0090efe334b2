/* SPDX-License-Identifier: Apache-2.0 */
/* Which connections are lanes of which channel: the main process knows, and their processes ask it. */
#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>

#include "control_socket.h"
#include "lanes.h"
#include "question.h"

_Static_assert((int)ACCOUNT_LANE_FILES <= QUESTION_FILES_MAX, "they are sent at once");

bool lanes_register(struct connection *connection, const struct question *question, int files[QUESTION_FILES_MAX])
{
	if (!connection->account || connection->lane_files[0] >= 0 || question->lanes > LANES_MAX ||
	    files[ACCOUNT_LANE_FILES - 1] < 0)
		return false;
	connection->lanes_left = question->lanes;
	memcpy(connection->lane_token, question->token, sizeof(connection->lane_token));
	for (size_t i = 0; i < ACCOUNT_LANE_FILES; i++) {
		connection->lane_files[i] = files[i];
		files[i] = -1;
	}
	return true;
}

/* The channel that the token is of. */
static struct connection *owner_find(struct accounts *accounts, const struct question *question)
{
	struct connection *owner;

	LIST_FOREACH(owner, &accounts->connections, link)
	{
		if (owner->process && owner->lanes_left && owner->account &&
		    CRYPTO_memcmp(owner->lane_token, question->token, sizeof(owner->lane_token)) == 0 &&
		    memcmp(owner->account->key.certificate, question->key.certificate, ACCOUNT_CERTIFICATE_BYTES) == 0)
			return owner;
	}
	return NULL;
}

bool lane_admit(struct accounts *accounts, struct connection *connection, const struct question *question)
{
	struct connection *owner = owner_find(accounts, question);
	char byte = 0;
	bool is_sent;

	if (!owner || connection->account || connection->lane_of)
		return false;
	connection->lane_of = owner;
	is_sent = control_packet_send(connection->socket, &byte, sizeof(byte), owner->lane_files, ACCOUNT_LANE_FILES) ==
		  0;
	if (--owner->lanes_left == 0)
		lanes_forget(owner);
	return is_sent;
}

void lanes_kill(struct accounts *accounts, struct connection *connection)
{
	struct connection *lane;

	lanes_forget(connection);
	LIST_FOREACH(lane, &accounts->connections, link)
	{
		if (lane->lane_of != connection)
			continue;
		/* It still counts as nobody's. */
		lane->lane_of = lane;
		if (lane->process > 0)
			kill(lane->process, SIGKILL);
	}
}

void lanes_forget(struct connection *connection)
{
	for (size_t i = 0; i < ACCOUNT_LANE_FILES; i++) {
		control_descriptor_close(connection->lane_files[i]);
		connection->lane_files[i] = -1;
	}
	connection->lanes_left = 0;
}

int account_lanes_tell(int socket, const uint8_t token[LINK_TOKEN_BYTES], unsigned count,
		       const int files[ACCOUNT_LANE_FILES])
{
	struct question question = {.kind = QUESTION_LANES, .lanes = count};

	memcpy(question.token, token, sizeof(question.token));
	return control_packet_send(socket, &question, sizeof(question), files, ACCOUNT_LANE_FILES);
}

int account_lane_ask(int socket, const uint8_t token[LINK_TOKEN_BYTES],
		     const uint8_t certificate[ACCOUNT_CERTIFICATE_BYTES], int ret_files[ACCOUNT_LANE_FILES])
{
	struct question question = {.kind = QUESTION_LANE};

	memcpy(question.token, token, sizeof(question.token));
	memcpy(question.key.certificate, certificate, sizeof(question.key.certificate));
	if (control_packet_send(socket, &question, sizeof(question), NULL, 0) < 0)
		return -1;
	return answer_await(socket, ACCOUNT_LANE_FILES, ret_files);
}
