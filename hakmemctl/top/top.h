/* SPDX-License-Identifier: MIT */
/*
 * hakmemctl top: what its files share. top.c is the verb and its loop; model.c has the table and
 * text.c its lines; sample.c reads processes; detail.c describes one process; keys.c turns keys
 * into changes of the view and into actions; act.c carries out the actions that change a process;
 * screen.c draws the view. Only screen.c uses ncurses, and noscreen.c replaces it in a build
 * without.
 *
 * One thread. Messages of other files (ctl_complain()) go into the view while the screen is open.
 */
#ifndef HAK_TOP_TOP_H
#define HAK_TOP_TOP_H

#include "hakmemctl/ctl.h"
#include "hakmemctl/top/model.h"

/* -- detail.c ---------------------------------------------------------------------------------- */
/* The description of one process as lines. */
struct top_lines {
	char **line;
	size_t n, room;
};

void top_lines_free(struct top_lines *lines);
void top_lines_add(struct top_lines *lines, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Describes a process by a report of HAK_REPORT_CLASSES and one of HAK_REPORT_VALUES, each of which
 * may be NULL. */
void top_describe(struct top_lines *lines, struct json_object *report, struct json_object *values);

/* -- the view ---------------------------------------------------------------------------------- */
enum top_mode { TOP_TABLE, TOP_DETAIL, TOP_HELP };

enum top_prompt {
	TOP_NO_PROMPT,
	TOP_ASK_FILTER,
	TOP_ASK_VALUE, /* NAME=VALUE */
	TOP_ASK_TIME,  /* how long that value stays */
	TOP_ASK_PURGE, /* y or n */
};

#define TOP_INPUT_BYTES 128

struct top_view {
	struct top_model model;
	enum top_mode mode, back; /* `back`: behind the help */
	enum top_prompt prompt;
	char input[TOP_INPUT_BYTES]; /* printable ASCII */
	char wish[TOP_INPUT_BYTES];  /* the answer to TOP_ASK_VALUE */
	/* What the prompt is about, as it was when it was asked. */
	char target[HAK_PATH_BYTES];
	char target_name[HAK_PATH_BYTES];
	uint64_t target_start; /* 0: unknown, or more than one process */
	/* The process of TOP_DETAIL. */
	uint64_t pid, start_ticks;
	struct top_lines detail;
	size_t scroll;		      /* first line shown, of detail or help */
	size_t page;		      /* rows that fit on the screen; screen.c sets it */
	char message[HAK_WHY_TEXT];   /* of the last action; raw: screen.c makes it printable */
	char trouble[HAK_WHY_TEXT];   /* of the last look; raw as well */
	char read_only[HAK_WHY_TEXT]; /* why the open process cannot be changed; "": it can */
	uint64_t delay_ns;
};

/* -- keys.c ------------------------------------------------------------------------------------ */
enum {
	TOP_KEY_NONE = 0, /* the time is over */
	TOP_KEY_ENTER = 10,
	TOP_KEY_ESCAPE = 27,
	TOP_KEY_UP = 256,
	TOP_KEY_DOWN,
	TOP_KEY_LEFT,
	TOP_KEY_RIGHT,
	TOP_KEY_PAGE_UP,
	TOP_KEY_PAGE_DOWN,
	TOP_KEY_FIRST,
	TOP_KEY_LAST,
	TOP_KEY_RUBOUT,
	TOP_KEY_RESIZED,
	TOP_KEY_END, /* the terminal is gone, or a signal asks for the end */
};

enum top_action {
	TOP_NOTHING,
	TOP_QUIT,
	TOP_LOOK,  /* at the processes, now */
	TOP_OPEN,  /* the process view->pid */
	TOP_SET,   /* view->wish for the time in view->input, in view->target */
	TOP_PURGE, /* view->target */
};

/* Changes the view as the key says, and returns what is to be done. */
enum top_action top_press(struct top_view *view, int key);

/* The lines of the help screen, of which the last is NULL. */
extern const char *const top_help[];

/* The question of the prompt that is open. */
void top_prompt_text(const struct top_view *view, char out[HAK_WHY_TEXT]);

/* -- sample.c ---------------------------------------------------------------------------------- */
/* Looks at the processes of the target. Returns an exit code; messages go where ctl_complain()
 * writes. */
int top_look(struct ctl *ctl, const char *target, struct top_model *model);
/* Reads the process view->pid into view->detail and view->read_only. Returns an exit code. */
int top_open(struct ctl *ctl, struct top_view *view);

/* -- act.c ------------------------------------------------------------------------------------- */
/* Ask the processes of view->target, and say the result in view->message. */
void top_set(struct ctl *ctl, struct top_view *view);
void top_purge(struct ctl *ctl, struct top_view *view);

/* -- screen.c, or noscreen.c ------------------------------------------------------------------- */
/* Takes the terminal. Returns 0; -ENOSYS: this build cannot; or -errno, with a sentence in `why`.
 * From here on the terminal is given back however the program ends. */
int top_screen_begin(char why[HAK_WHY_TEXT]);
void top_screen_end(void);
void top_screen_draw(struct top_view *view);
/* Waits for a key, at most so long. */
int top_screen_key(uint64_t timeout_ns);

#endif
