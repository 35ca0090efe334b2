/* SPDX-License-Identifier: Apache-2.0 */
/* The steps (steps.h) of fuzz_mediator's inputs. */
#ifndef TEST_FUZZ_MEDIATOR_STEPS_H
#define TEST_FUZZ_MEDIATOR_STEPS_H

/* The input's first byte. */
#define MEDIATOR_FLAG_ROOT 1u /* programs are root's, so they may run jobs of VMs */

/* 'value' has in its low half who it is, by a number modulo how many there are; WITH_*, what goes along. */
enum mediator_step {
	PEER_CONNECTS, /* 'value' not 0: one that may be a VM's device */
	PEER_SAYS,     /* a packet */
	PEER_GOES,
	PEER_READS,
	CHILD_SAYS,	    /* a packet to its control socket */
	CHILD_PRINTS,	    /* to its standard output; 'value' & 16: to its standard error */
	CHILD_ENDS,	    /* with the status of the first byte; of 16 times a number: by that signal */
	ADMINISTRATOR_ASKS, /* 'value' not 0: one who may change things */
};

/* Descriptors that go with a packet. */
enum mediator_step_descriptors {
	WITH_NONE,
	WITH_MEMORY = 1 << 4, /* as a device's */
	WITH_MEMORY_UNSEALED = 2 << 4,
	WITH_EVENTFDS = 3 << 4, /* two */
	WITH_EVENTFD = 4 << 4,
	WITH_PIPE = 5 << 4, /* both ends */
};

/* The first children: of a worker's watch, the sensors, the errors of GPUs; then come executors. */
enum mediator_child { CHILD_WATCH, CHILD_SENSORS, CHILD_EVENTS, CHILD_EXECUTOR };

#endif
