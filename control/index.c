/* SPDX-License-Identifier: MIT */
/* Indexes of arrays, see index.h. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "control/index.h"

#define LEAST_SLOTS 64

static uint64_t secret(void)
{
	static uint64_t value;

	if (!value && getrandom(&value, sizeof(value), 0) != sizeof(value))
		value = (uint64_t)(uintptr_t)&value;
	return value |= 1;
}

/* Joins both halves of the product: keys that agree in one half differ in the other. */
static uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t hak_index_hash(const void *key, size_t bytes, uint32_t seed)
{
	const unsigned char *at = key;
	uint64_t h = mix(secret() ^ seed, 0x9e3779b97f4a7c15u ^ bytes), word;

	for (; bytes; at += sizeof(word)) {
		size_t n = bytes < sizeof(word) ? bytes : sizeof(word);

		word = 0;
		memcpy(&word, at, n);
		h = mix(h ^ word, secret() ^ 0xd6e8feb86659fd93u);
		bytes -= n;
	}
	return (uint32_t)(h ^ h >> 32);
}

ssize_t hak_index_find(const struct hak_index *index, uint32_t hash,
		       bool (*same)(size_t number, const void *arg), const void *arg)
{
	const struct hak_index_slot *s;

	if (!index->slots)
		return -1;
	for (size_t i = hash; (s = &index->slot[i & (index->slots - 1)])->number; i++)
		if (s->hash == hash && same(s->number - 1, arg))
			return (ssize_t)s->number - 1;
	return -1;
}

static void put(struct hak_index_slot *slot, size_t slots, struct hak_index_slot what)
{
	size_t i = what.hash;

	while (slot[i & (slots - 1)].number)
		i++;
	slot[i & (slots - 1)] = what;
}

int hak_index_add(struct hak_index *index, uint32_t hash, size_t number)
{
	if (number >= UINT32_MAX)
		return -ENOMEM;
	if (2 * (index->n + 1) > index->slots) {
		size_t slots = index->slots ? 2 * index->slots : LEAST_SLOTS;
		struct hak_index_slot *grown = calloc(slots, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		for (size_t i = 0; i < index->slots; i++)
			if (index->slot[i].number)
				put(grown, slots, index->slot[i]);
		free(index->slot);
		index->slot = grown;
		index->slots = slots;
	}
	put(index->slot, index->slots, (struct hak_index_slot){ hash, (uint32_t)number + 1 });
	index->n++;
	return 0;
}

void hak_index_free(struct hak_index *index)
{
	free(index->slot);
	*index = (struct hak_index){ .slot = NULL };
}
