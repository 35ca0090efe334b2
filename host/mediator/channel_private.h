/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a channel's files share: its life (channel.c), the start of its executor (channel_start.c), and what that says
 * (channel_executor.c).
 */
#ifndef MEDIATOR_CHANNEL_PRIVATE_H
#define MEDIATOR_CHANNEL_PRIVATE_H

#include "channel.h"
#include "executor_process.h"
#include "starts.h"

/* channel.c */

/* Reports the end of a channel that its owner did not ask for. The channel may be freed on return. */
void channel_die(struct channel *channel, enum vgpu_channel_error error, const char *text);

struct scheduler_join channel_join(struct channel *channel);

/* Has its memory zeroed, and then goes on as its stage says. */
void channel_clean(struct channel *channel);

/* Starts those for which nobody's executor has to end any more. */
void channels_behind_start(struct mediator *mediator);

/* channel_executor.c */

extern const struct executor_process_handlers channel_executor_handlers;

/* Its executor has ended without being asked to, or is made to; 'is_fault': it is its tenant's. */
void channel_death_note(const struct channel *channel, bool is_fault, const char *how);

/* channel_start.c */

/* Starts the executor, or sees to it that it is started later; if it cannot be, why. */
enum vgpu_channel_error channel_start(struct channel *channel, char *ret_text);

/* Its relay failed before it was ready. True: it will start elsewhere, when that has ended. */
bool channel_move(struct channel *channel, const char *why);
/* That has ended, and the memory is zeroed. */
void channel_start_elsewhere(struct channel *channel);

/* Has a program of its tenant that was closed before this one was opened still an executor? */
bool channel_is_behind(const struct channel *channel);

/* What is kept until it is certain that the executor need not be started again. */
void channel_start_descriptors_close(struct channel *channel);

void channel_descriptors_close(struct channel_request *request);

void channel_schedule_leave(struct channel *channel);

/* Its executor does not start, or does not get at the GPU; and whether it does. */
void channel_start_failure_note(struct channel *channel, enum starts_step step, const char *why);
void channel_driver_result_take(struct channel *channel, const struct vgpu_control_driver_result *result);

/* The error, with a sentence in 'text' (VGPU_CONTROL_TEXT_BYTES). */
enum vgpu_channel_error channel_refuse(char *text, enum vgpu_channel_error error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif
