/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-admin record-workload: what tenants ask of the GPU, as files for the simulator (tests/sim). */
#ifndef ADMIN_RECORD_H
#define ADMIN_RECORD_H

#include "client.h"

/*
 * "folder", "for": seconds, "replace": yes or no. Makes the folder if there is none, before anything is recorded, and a
 * file for each tenant in it. The result, to be
 * released, is a list of them; or what went wrong, with a line on standard error. SIGINT ends it early.
 */
enum exit_code record_run(struct client *client, json_t *arguments, json_t **ret_result);

#endif
