/* SPDX-License-Identifier: Apache-2.0 */
#include "engine_private.h"
#include "texture.h"

#include <stdlib.h>
#include <unistd.h>

enum {
	HEAP_BYTES_DEFAULT = 8 * 1024 * 1024,
};

enum engine_status engine_create(const struct engine_config *config, struct engine **ret_engine)
{
	struct engine *engine = calloc(1, sizeof(*engine));
	long processors = sysconf(_SC_NPROCESSORS_ONLN);

	if (!engine)
		return ENGINE_ERROR_OUT_OF_MEMORY;
	engine->config = *config;
	engine->table = exec_table_choose();
	engine->worker_count = config->worker_count ? config->worker_count : processors > 0 ? (unsigned)processors : 1;
	engine->heap = heap_create(&config->memory, config->heap_bytes ? config->heap_bytes : HEAP_BYTES_DEFAULT);
	engine->textures = texture_table_create();
	if (!engine->heap || !engine->textures || !fault_handlers_install())
		goto fail;
	if (pthread_mutex_init(&engine->lock, NULL) != 0)
		goto fail;
	if (pthread_mutex_init(&engine->print_lock, NULL) != 0)
		goto fail_lock;
	if (pthread_cond_init(&engine->work, NULL) != 0)
		goto fail_print_lock;
	if (!engine_workers_start(engine))
		goto fail_work;
	*ret_engine = engine;
	return ENGINE_OK;
fail_work:
	pthread_cond_destroy(&engine->work);
fail_print_lock:
	pthread_mutex_destroy(&engine->print_lock);
fail_lock:
	pthread_mutex_destroy(&engine->lock);
fail:
	texture_table_destroy(engine->textures);
	heap_destroy(engine->heap);
	free(engine);
	return ENGINE_ERROR_OUT_OF_MEMORY;
}

void engine_destroy(struct engine *engine)
{
	if (!engine)
		return;
	engine_workers_stop(engine);
	texture_table_destroy(engine->textures);
	heap_destroy(engine->heap);
	pthread_cond_destroy(&engine->work);
	pthread_mutex_destroy(&engine->print_lock);
	pthread_mutex_destroy(&engine->lock);
	free(engine);
}
