/* SPDX-License-Identifier: MIT */
/*
 * Writes a profile as folded stacks ("main;work;malloc 4096", outermost first) or as a flame graph,
 * which is SVG without a script or external parts. The width of a bar is what its function and the
 * functions it called allocated, or hold. The bars of its callers are below it. The full text shows
 * under the pointer.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/grow.h"
#include "control/value.h"
#include "hakmemctl/profile/profile.h"
#include "hakmemctl/svg.h"

#define WIDTH	     1200.
#define ROW	     18.
#define LEAST	     .3 /* narrower bars are left out */
#define NAME_BYTES   2048
#define NAME_SHOWN   (SVG_TEXT_BYTES - 64) /* beside its figures */
#define COLOUR_BYTES 24

struct node {
	char *name;
	double bytes;
	struct node *parent, *child, *next;
};

struct tree {
	struct node root;
	struct node **node; /* all nodes except the root */
	size_t nodes, room;
	struct hak_index index; /* by parent and name */
};

struct key {
	struct node *const *node, *parent;
	const char *name;
};

/* -- folded ------------------------------------------------------------------------------------ */
/* In the folded format ';' separates frames, and the last blank separates the number. */
static void folded_name(const struct profile *p, uint64_t address, char name[NAME_BYTES])
{
	profile_name(p, address, name, NAME_BYTES);
	for (char *c = name; *c; c++)
		if (*c == ';')
			*c = ':';
}

int profile_write_folded(const struct profile *p, FILE *to)
{
	char name[NAME_BYTES];

	for (size_t i = 0; i < p->stacks; i++) {
		const struct profile_stack *s = &p->stack[i];

		if (s->sums[p->what].bytes < .5)
			continue;
		for (size_t k = s->frames; k--;) {
			folded_name(p, s->frame[k], name);
			fprintf(to, "%s%s", name, k ? ";" : "");
		}
		fprintf(to, "%s %.0f\n", s->frames ? "" : "[unknown]", s->sums[p->what].bytes);
	}
	return ferror(to) ? -EIO : 0;
}

/* -- the tree ---------------------------------------------------------------------------------- */
static bool is_child(size_t number, const void *arg)
{
	const struct key *key = arg;
	const struct node *n = key->node[number];

	return n->parent == key->parent && strcmp(n->name, key->name) == 0;
}

static struct node *child_of(struct tree *t, struct node *n, const char *name)
{
	uint32_t hash = hak_index_hash(name, strlen(name), hak_index_hash(&n, sizeof(n), 0));
	const struct key key = { t->node, n, name };
	ssize_t found = hak_index_find(&t->index, hash, is_child, &key);
	struct node **grown, *c;

	if (found >= 0)
		return t->node[found];
	grown = hak_grow(t->node, t->nodes, &t->room, sizeof(*grown));
	if (!grown)
		return NULL;
	t->node = grown;
	c = calloc(1, sizeof(*c));
	if (!c || !(c->name = strdup(name)) || hak_index_add(&t->index, hash, t->nodes) < 0) {
		if (c)
			free(c->name);
		free(c);
		return NULL;
	}
	t->node[t->nodes++] = c;
	c->parent = n;
	c->next = n->child;
	n->child = c;
	return c;
}

static void free_tree(struct tree *t)
{
	for (size_t i = 0; i < t->nodes; i++) {
		free(t->node[i]->name);
		free(t->node[i]);
	}
	free(t->node);
	hak_index_free(&t->index);
}

static int add_stack(const struct profile *p, struct tree *t, const struct profile_stack *s)
{
	double bytes = s->sums[p->what].bytes;
	struct node *n = &t->root;
	char name[NAME_BYTES];

	n->bytes += bytes;
	for (size_t k = s->frames; k-- && bytes >= .5;) {
		profile_name(p, s->frame[k], name, sizeof(name));
		n = child_of(t, n, name);
		if (!n)
			return -ENOMEM;
		n->bytes += bytes;
	}
	return 0;
}

static unsigned depth(const struct node *n, double scale)
{
	unsigned deepest = 0;

	for (const struct node *c = n->child; c; c = c->next) {
		unsigned below = c->bytes * scale < LEAST ? 0 : 1 + depth(c, scale);

		deepest = below > deepest ? below : deepest;
	}
	return deepest;
}

/* -- drawing ----------------------------------------------------------------------------------- */
/* Each name has one colour, from yellow to red, light enough for black letters, also on paper. */
static void colour_of(const char *name, char out[COLOUR_BYTES])
{
	uint32_t h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (unsigned char)*name) * 16777619u;
	snprintf(out, COLOUR_BYTES, "rgb(%u,%u,%u)", 225 + h % 30, 120 + (h >> 8) % 100,
		 60 + (h >> 16) % 50);
}

static void draw(FILE *to, const struct node *n, double all, double x, double y)
{
	const struct svg_box bar = { x, y, n->bytes / all * WIDTH, ROW - 1 };
	char size[HAK_VALUE_TEXT], colour[COLOUR_BYTES];

	if (bar.width < LEAST)
		return;
	hak_bytes_format((uint64_t)(n->bytes + .5), size);
	colour_of(n->name, colour);
	svg_group(to);
	svg_title(to, "%.*s %s, %.1f %%", NAME_SHOWN, n->name, size, 100 * n->bytes / all);
	svg_rect(to, &bar, colour, NULL);
	if (bar.width > 4 * SVG_LETTER)
		svg_text_within(to, x + 3, y + ROW - 5, "small",
				(size_t)(bar.width / SVG_LETTER) - 1, n->name);
	svg_group_end(to);
	for (const struct node *c = n->child; c; c = c->next) {
		draw(to, c, all, x, y - ROW);
		x += c->bytes / all * WIDTH;
	}
}

int profile_write_svg(const struct profile *p, FILE *to)
{
	char all[] = "all";
	struct tree t = { .root = { .name = all } };
	char bytes[HAK_VALUE_TEXT], rate[HAK_VALUE_TEXT], ns[HAK_VALUE_TEXT];
	double height;
	int r = 0;

	for (size_t i = 0; i < p->stacks && r == 0; i++)
		r = add_stack(p, &t, &p->stack[i]);
	height = ROW * (4 + (t.root.bytes ? depth(&t.root, WIDTH / t.root.bytes) : 0));
	hak_bytes_format((uint64_t)(t.root.bytes + .5), bytes);
	hak_bytes_format(p->rate, rate);
	hak_ns_format(p->ns, ns);
	svg_begin(to, WIDTH, height, NULL);
	svg_text(to, 3, 14, NULL, "%s (%d): %s %s in %s, a sample every %s", p->comm, (int)p->pid,
		 bytes, p->what == PROFILE_LIVE ? "in use of what was allocated" : "allocated", ns,
		 rate);
	if (t.root.bytes > 0)
		draw(to, &t.root, t.root.bytes, 0, height - ROW - 4);
	svg_end(to);
	free_tree(&t);
	return r ? r : ferror(to) ? -EIO : 0;
}
