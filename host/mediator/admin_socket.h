/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The socket of vgpu-admin: a stream of lines, each a JSON object; each request has one answer (admin.h).
 *
 * root, the mediator's own user and the members of one group may do everything; the members of another may look. They
 * are not the group of the mediator's other sockets: the users of QEMU are in that one, and executors run as its user,
 * and neither is to set its own limits. Everybody else is refused, to read as well, for what other tenants do is
 * nobody's business. A file has one group: where there are readers all may connect, and who they are decides.
 *
 * A request is bounded, an answer that is not read stops its peer alone, a peer that is silent is closed, readers leave
 * places for administrators, and who is refused takes none.
 */
#ifndef MEDIATOR_ADMIN_SOCKET_H
#define MEDIATOR_ADMIN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>

#define ADMIN_SOCKET_PATH "/var/vgpu/admin.sock"
#define ADMIN_SOCKET_NONE "none"
#define ADMIN_GROUP	  "vgpu-admin"
#define ADMIN_VIEW_GROUP  "vgpu-view"

struct admin_socket;
struct mediator;

/*
 * Opens what the configuration says. NULL where that is nothing, or out of memory. Where it does not work the log says
 * so, and it tries again when it is checked.
 */
struct admin_socket *admin_socket_open(struct mediator *mediator);

/* Makes the socket if that has not worked yet, or somebody has removed its file. NULL is fine. */
void admin_socket_check(struct admin_socket *admin);

/* True: it listens, or is not to (NULL); where, or why not. */
bool admin_socket_look(const struct admin_socket *admin, char *text, size_t bytes);

/* NULL is fine. */
void admin_socket_close(struct admin_socket *admin);

#endif
