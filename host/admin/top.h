/* SPDX-License-Identifier: Apache-2.0 */
/* vgpu-admin top: who has the GPU, how much of it, and who waits. */
#ifndef ADMIN_TOP_H
#define ADMIN_TOP_H

#include <stdbool.h>

#include "client.h"

/*
 * Until SIGINT, each 'seconds'; 'once': one measurement of that length, without control of the terminal. 'as_json':
 * a line of JSON for each.
 */
enum exit_code top_run(struct client *client, double seconds, bool once, bool as_json);

#endif
