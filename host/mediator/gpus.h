/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many GPUs of one machine are told apart: of this host, and of each worker. An instance of a GPU in MIG mode is
 * one too (probe.h). What there is beyond is not used, or at a worker has no scheduler of its own, and operators are
 * told.
 */
#ifndef MEDIATOR_GPUS_H
#define MEDIATOR_GPUS_H

#define GPUS_MAX 32u /* bits of a word, and a power of two: worker_gpu() */

#endif
