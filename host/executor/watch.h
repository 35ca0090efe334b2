/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends the process when the mediator closes the control socket: the guest is
 * gone. A thread of its own, because the main thread may be inside a driver call
 * that waits for an endless kernel. Nothing is cleaned up: the kernel's release
 * of the device files gives memory back at once, kernels running or not.
 */
#ifndef EXECUTOR_WATCH_H
#define EXECUTOR_WATCH_H

/* 0, or -errno. */
int watch_start(int control);

#endif
