/* SPDX-License-Identifier: BSD-2-Clause */
/* A sorted list under a read-write lock. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "bench/baseline.h"
#include "bench/bench.h"

enum { MOST = 1 << 16, SLOWER = 4000 };

struct node {
	struct node *next;
	struct baseline_mapping mapping;
};

struct list {
	pthread_rwlock_t lock;
	struct node *head;
};

static void *list_create(void)
{
	struct list *list = calloc(1, sizeof(*list));

	bench_must(list ? -pthread_rwlock_init(&list->lock, NULL) : -ENOMEM);
	return list;
}

static void list_destroy(void *store)
{
	struct list *list = store;

	while (list->head) {
		struct node *node = list->head;

		list->head = node->next;
		free(node);
	}
	pthread_rwlock_destroy(&list->lock);
	free(list);
}

/* The link to the first mapping that ends at an address or beyond. */
static struct node **place(struct list *list, uint64_t iova)
{
	struct node **link = &list->head;

	while (*link && (*link)->mapping.last < iova)
		link = &(*link)->next;
	return link;
}

static void list_map(void *store, const struct baseline_mapping *mapping)
{
	struct list *list = store;
	struct node *node = malloc(sizeof(*node));

	bench_must(node ? 0 : -ENOMEM);
	node->mapping = *mapping;
	pthread_rwlock_wrlock(&list->lock);
	struct node **link = place(list, mapping->first);

	node->next = *link;
	*link = node;
	pthread_rwlock_unlock(&list->lock);
}

static void list_unmap(void *store, uint64_t first, uint64_t last)
{
	struct list *list = store;

	pthread_rwlock_wrlock(&list->lock);
	struct node **link = place(list, first), *node = *link;
	bool found = node && node->mapping.first == first && node->mapping.last == last;

	if (found)
		*link = node->next;
	pthread_rwlock_unlock(&list->lock);
	if (found)
		free(node);
}

static bool list_find(void *store, uint64_t iova, struct baseline_mapping *out)
{
	struct list *list = store;

	pthread_rwlock_rdlock(&list->lock);
	const struct node *node = *place(list, iova);
	bool found = node && node->mapping.first <= iova;

	if (found)
		*out = node->mapping;
	pthread_rwlock_unlock(&list->lock);
	return found;
}

const struct baseline_ops baseline_list = {
	.name = "list-rwlock",
	.most = MOST,
	.slower = SLOWER,
	.create = list_create,
	.destroy = list_destroy,
	.map = list_map,
	.unmap = list_unmap,
	.find = list_find,
};
