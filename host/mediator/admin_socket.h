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

#define ADMIN_SOCKET_PATH "/var/vgpu/admin.sock"
#define ADMIN_SOCKET_NONE "none"
#define ADMIN_GROUP	  "vgpu-admin"
#define ADMIN_VIEW_GROUP  "vgpu-view"

struct admin_socket;
struct mediator;

/*
 * Opens what the configuration says. NULL where that is nothing or it does not work, which the log says: the
 * mediator goes on without.
 */
struct admin_socket *admin_socket_open(struct mediator *mediator);

/* Makes the socket again if somebody has removed its file. NULL is fine. */
void admin_socket_check(struct admin_socket *admin);

/* NULL is fine. */
void admin_socket_close(struct admin_socket *admin);

#endif
