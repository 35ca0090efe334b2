/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a tenant may start one more program. */
#ifndef MEDIATOR_ADMISSION_H
#define MEDIATOR_ADMISSION_H

#include "control_socket.h"

struct channel_request;
struct mediator;

/* VGPU_ERROR_NONE, or why not with a sentence in 'ret_text' (VGPU_CONTROL_TEXT_BYTES). */
enum vgpu_channel_error admission_check(const struct mediator *mediator, const struct channel_request *request,
					char *ret_text);

/* A program was refused, for this reason or another one: counts it. */
void admission_refusal_note(struct mediator *mediator, const struct channel_request *request);

#endif
