/* SPDX-License-Identifier: Apache-2.0 */
#include "mirror_control.h"

#include <errno.h>
#include <poll.h>
#include <string.h>

#include "control_socket.h"

/* How often the relay hears of a mirror that waits: several times within the shortest silence that it may take. */
#define ALIVE_MS 250

/* Where the main process does not take the question the answer is that there is nothing. */
static void question_pass(struct mirror *mirror, struct control_message *question)
{
	struct pollfd accounts = {.fd = mirror->accounts, .events = POLLOUT};
	struct control_message nothing = {0};

	if (poll(&accounts, 1, 0) > 0 && accounts.revents == POLLOUT &&
	    control_send(mirror->accounts, (enum vgpu_control_type)question->header.type, question) == 0)
		return;
	if (question->header.type == VGPU_CONTROL_SHARE_WITHDRAW)
		return;
	/* An executor that does not read asks in vain. */
	if (question->header.type == VGPU_CONTROL_TENANT_QUERY) {
		nothing.tenant_reply.first = question->tenant_query.first;
		(void)control_send(mirror->control, VGPU_CONTROL_TENANT_REPLY, &nothing);
	} else {
		nothing.share.serial = question->share.serial;
		nothing.share.kind = question->share.kind;
		(void)control_send(mirror->control, VGPU_CONTROL_SHARE_REPLY, &nothing);
	}
}

void mirror_control_take(struct mirror *mirror)
{
	struct control_message message;
	int received = control_receive(mirror->control, &message);

	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (received <= 0) {
		mirror->is_end_awaited = true;
		mirror_finish(mirror, VGPU_ERROR_EXECUTOR_DIED, "the executor ended");
		return;
	}
	switch (message.header.type) {
	case VGPU_CONTROL_TENANT_QUERY:
	case VGPU_CONTROL_SHARE_PUBLISH:
	case VGPU_CONTROL_SHARE_QUERY:
	case VGPU_CONTROL_SHARE_WITHDRAW:
		question_pass(mirror, &message);
		break;
	case VGPU_CONTROL_EXECUTOR_FAULT:
		mirror_finish(mirror, vgpu_executor_word(message.channel.error, true), "%s", message.channel.text);
		break;
	default:
		mirror_end(mirror, VGPU_ERROR_EXECUTOR_ENDED, "the executor sent message %u", message.header.type);
	}
	control_message_release(&message);
}

/* How the executor has ended, or is about to: one that the kernel does not let go may never hang up. */
static void end_take(struct mirror *mirror, const struct vgpu_control_channel *word)
{
	struct pollfd said = {.fd = mirror->control, .events = POLLIN};

	mirror->end.error = word->error;
	mirror->end.pci_place = word->pci_place;
	memcpy(mirror->end.text, word->text, sizeof(mirror->end.text));
	/* What it has said itself before counts. */
	while (!mirror->is_finishing && !mirror->is_over && poll(&said, 1, 0) > 0)
		mirror_control_take(mirror);
	if (mirror->is_finishing || mirror->is_over)
		return;
	mirror->is_end_awaited = true;
	mirror_finish(mirror, VGPU_ERROR_EXECUTOR_ENDED, "%s", mirror->end.text);
}

void mirror_answer_take(struct mirror *mirror)
{
	struct control_message answer;
	int received = control_receive(mirror->accounts, &answer);

	if (received < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (received <= 0) {
		mirror->accounts = -1;
		return;
	}
	if (answer.header.type == VGPU_CONTROL_EXECUTOR_FAULT) {
		end_take(mirror, &answer.channel);
		control_message_release(&answer);
		return;
	}
	/* What the tenant may have is in the permit page, as the relay said. */
	if (answer.header.type == VGPU_CONTROL_TENANT_REPLY)
		answer.tenant_reply.quota_bytes = mirror->schedule.permit->limits.memory_bytes;
	/* An executor that does not read asks in vain. */
	(void)control_send(mirror->control, (enum vgpu_control_type)answer.header.type, &answer);
	control_message_release(&answer);
}

int mirror_patience(struct mirror *mirror, struct pollfd *wait, uint64_t end_ms)
{
	uint64_t now = link_now_ms();
	int ready = now < end_ms ? poll(wait, 1, end_ms - now < ALIVE_MS ? (int)(end_ms - now) : ALIVE_MS) : -1;

	/* Before it is ready the relay awaits an answer, and nothing else. */
	if (ready == 0 && mirror->counters) {
		mirror_counters_send(mirror);
		(void)link_flush(mirror->link);
	}
	return ready;
}

void mirror_end_await(struct mirror *mirror, uint64_t end_ms)
{
	struct pollfd word = {.fd = mirror->accounts, .events = POLLIN};

	while (mirror->is_end_awaited && !mirror->end.error && mirror->accounts >= 0) {
		int ready = mirror_patience(mirror, &word, end_ms);

		if (ready < 0)
			break;
		if (ready > 0)
			mirror_answer_take(mirror);
	}
	if (!mirror->is_end_awaited)
		return;
	if (mirror->end.error)
		mirror->status = mirror->end;
	/* One that hangs up and stays. Where the main process has ended the worker stops, and it is nobody's fault. */
	else if (mirror->accounts >= 0)
		mirror->status.error = VGPU_ERROR_EXECUTOR_ENDED;
}
