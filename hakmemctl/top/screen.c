/* SPDX-License-Identifier: MIT */
/*
 * Draws the view of `hakmemctl top` by ncurses, and reads keys. All text passes top_cut(), which
 * lets printable characters through and no others.
 *
 * The terminal is given back however the program ends: by top_screen_end(), by exit() from any
 * place (atexit), and by a handler when a fault, abort() or any other signal kills the program.
 */
#include <curses.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "hakmemctl/top/text.h"
#include "hakmemctl/top/top.h"

/* Its macros have the names of variables. */
#include <term.h>
#undef columns
#undef lines

/* -- the terminal ------------------------------------------------------------------------------ */
static struct {
	SCREEN *screen;
	bool open;
	struct termios before;
	char leave[128]; /* what ends the screen of a program and shows the cursor */
	sigset_t waiting;
} terminal;

/* These do not end the program, or never reach it, or are caught elsewhere. */
static const int harmless[] = { SIGCHLD, SIGCONT, SIGURG,  SIGWINCH, SIGSTOP, SIGTSTP,
				SIGTTIN, SIGTTOU, SIGKILL, SIGINT,   SIGTERM, SIGHUP };
static const int awaited[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH };
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Calls only what a signal handler may call. The signal then has its default action. */
static void give_back(int signal)
{
	const char *leave = terminal.leave;

	if (terminal.open && write(STDOUT_FILENO, leave, strlen(leave)) >= 0)
		tcsetattr(STDIN_FILENO, TCSANOW, &terminal.before);
	raise(signal);
}

static void add_capability(const char *name)
{
	const char *text = tigetstr(name);
	size_t used = strlen(terminal.leave);

	if (text && text != (char *)-1)
		snprintf(terminal.leave + used, sizeof(terminal.leave) - used, "%s", text);
}

static bool is_fatal(int signal)
{
	struct sigaction now;

	for (size_t i = 0; i < COUNT(harmless); i++)
		if (signal == harmless[i])
			return false;
	return sigaction(signal, NULL, &now) == 0 && now.sa_handler != SIG_IGN;
}

static void catch_signals(void)
{
	/* The handler's raise() acts when the handler returns, by the default action. */
	struct sigaction fault = { .sa_handler = give_back, .sa_flags = SA_RESETHAND };
	sigset_t block;

	ctl_catch_interrupts();
	sigemptyset(&block);
	for (int signal = 1; signal <= SIGRTMAX; signal++)
		if (is_fatal(signal))
			sigaction(signal, &fault, NULL);
	for (size_t i = 0; i < COUNT(awaited); i++)
		sigaddset(&block, awaited[i]);
	/* They arrive in ppoll() only, so none is lost between a look at them and the wait. */
	sigprocmask(SIG_BLOCK, &block, &terminal.waiting);
	for (size_t i = 0; i < COUNT(awaited); i++)
		sigdelset(&terminal.waiting, awaited[i]);
}

void top_screen_end(void)
{
	if (!terminal.open)
		return;
	terminal.open = false;
	endwin();
	delscreen(terminal.screen);
}

int top_screen_begin(char why[HAK_WHY_TEXT])
{
	const char *name = getenv("TERM");

	if (tcgetattr(STDIN_FILENO, &terminal.before) < 0) {
		snprintf(why, HAK_WHY_TEXT, "standard input is no terminal");
		return -ENOTTY;
	}
	catch_signals();
	terminal.screen = newterm(NULL, stdout, stdin);
	if (!terminal.screen) {
		snprintf(why, HAK_WHY_TEXT,
			 "the terminal \"%.40s\" cannot be drawn on (TERM); --once prints a table",
			 name ? name : "");
		return -ENOTTY;
	}
	terminal.open = true;
	atexit(top_screen_end);
	terminal.leave[0] = '\0';
	add_capability("rmcup");
	add_capability("cnorm");
	add_capability("sgr0");
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	return 0;
}

/* -- keys -------------------------------------------------------------------------------------- */
static int translate(int key)
{
	static const int keys[][2] = {
		{ KEY_UP, TOP_KEY_UP },
		{ KEY_DOWN, TOP_KEY_DOWN },
		{ KEY_LEFT, TOP_KEY_LEFT },
		{ KEY_RIGHT, TOP_KEY_RIGHT },
		{ KEY_PPAGE, TOP_KEY_PAGE_UP },
		{ KEY_NPAGE, TOP_KEY_PAGE_DOWN },
		{ KEY_HOME, TOP_KEY_FIRST },
		{ KEY_END, TOP_KEY_LAST },
		{ KEY_ENTER, TOP_KEY_ENTER },
		{ '\r', TOP_KEY_ENTER },
		{ KEY_BACKSPACE, TOP_KEY_RUBOUT },
		{ 0x7f, TOP_KEY_RUBOUT },
		{ '\b', TOP_KEY_RUBOUT },
		{ KEY_RESIZE, TOP_KEY_RESIZED },
	};

	for (size_t i = 0; i < COUNT(keys); i++)
		if (keys[i][0] == key)
			return keys[i][1];
	/* Other keys of ncurses, and bytes beyond ASCII, mean nothing here. */
	return key > 0 && key < 0x7f ? key : TOP_KEY_RESIZED;
}

/* A terminal that is readable and has no key again and again is gone. */
#define EMPTY_READS_MAX 16

int top_screen_key(uint64_t timeout_ns)
{
	const struct timespec timeout = { (time_t)(timeout_ns / 1000000000),
					  (long)(timeout_ns % 1000000000) };
	struct pollfd in = { .fd = STDIN_FILENO, .events = POLLIN };
	static unsigned empty;
	int key = getch(), n = 0;

	/* ncurses may hold a key already, or the news of a new size. */
	if (key == ERR) {
		n = ppoll(&in, 1, &timeout, &terminal.waiting);
		if (n < 0 && errno != EINTR)
			return TOP_KEY_END;
		key = getch();
	}
	if (ctl_interrupted())
		return TOP_KEY_END;
	if (key != ERR) {
		empty = 0;
		return translate(key);
	}
	if (n > 0 && (++empty > EMPTY_READS_MAX || in.revents & (POLLHUP | POLLERR | POLLNVAL)))
		return TOP_KEY_END;
	return TOP_KEY_NONE;
}

/* -- drawing ----------------------------------------------------------------------------------- */
static void put_line(int y, int attributes, const char *text)
{
	char line[TOP_LINE_BYTES];
	int columns = COLS < TOP_LINE_COLUMNS ? COLS : TOP_LINE_COLUMNS;

	if (y < 0 || y >= LINES || columns < 2)
		return;
	/* The last cell of the screen would scroll a terminal of the simplest kind. */
	top_cut(text, (size_t)(y == LINES - 1 ? columns - 1 : columns), line, sizeof(line));
	attrset((attr_t)attributes);
	mvaddstr(y, 0, line);
	attrset(A_NORMAL);
}

static void put_title(const struct top_view *view)
{
	static const char *const kinds[] = { "processes", "units", "cgroups" };
	const struct top_model *m = &view->model;
	char text[TOP_LINE_BYTES], every[HAK_VALUE_TEXT], at[CTL_TIME_BYTES];

	hak_ns_format(view->delay_ns, every);
	ctl_time_text(hak_realtime_us(), at);
	snprintf(text, sizeof(text), "hakmemctl top  %s  %s by %s%s%s%s  every %s", at,
		 kinds[m->kind], top_sort_word(m->sort), m->reverse ? ", reversed" : "",
		 *m->filter ? ", filter " : "", m->filter, every);
	put_line(0, A_BOLD, text);
}

/* Keeps the selected row on the screen. */
static size_t first_row(const struct top_view *view)
{
	size_t page = view->page ? view->page : 1;

	return view->model.selected / page * page;
}

static void draw_table(struct top_view *view)
{
	const struct top_model *m = &view->model;
	size_t columns = (size_t)COLS, first;
	char line[TOP_LINE_BYTES];

	view->page = LINES > 5 ? (size_t)LINES - 5 : 1;
	put_title(view);
	top_summary(m, columns, line);
	put_line(1, A_NORMAL, line);
	if (m->left_out) {
		snprintf(line, sizeof(line), "%zu more processes are left out", m->left_out);
		put_line(2, A_NORMAL, line);
	}
	if (*view->trouble)
		put_line(2, A_NORMAL, view->trouble);
	top_heading(m, columns, line);
	put_line(3, A_REVERSE, line);
	first = first_row(view);
	for (size_t i = 0; i < view->page && first + i < m->shown.n; i++) {
		top_line(m, m->shown.row[first + i], columns, line);
		put_line(4 + (int)i, first + i == m->selected ? A_REVERSE : A_NORMAL, line);
	}
	if (m->shown.n == 0)
		put_line(4, A_NORMAL,
			 *m->filter ? "  no row matches the filter (f changes it)"
				    : "  no process on hakmem");
}

static void draw_detail(struct top_view *view)
{
	char line[TOP_LINE_BYTES];

	view->page = LINES > 4 ? (size_t)LINES - 4 : 1;
	put_line(0, A_BOLD, view->detail.n ? view->detail.line[0] : "");
	snprintf(line, sizeof(line), "%s%s", *view->read_only ? "read-only for this user: " : "",
		 view->read_only);
	put_line(1, A_NORMAL, line);
	if (*view->trouble)
		put_line(2, A_NORMAL, view->trouble);
	for (size_t i = 0; i < view->page && view->scroll + i + 1 < view->detail.n; i++)
		put_line(3 + (int)i, A_NORMAL, view->detail.line[view->scroll + i + 1]);
}

static void draw_help(struct top_view *view)
{
	size_t n = 0;

	view->page = LINES > 2 ? (size_t)LINES - 2 : 1;
	put_line(0, A_BOLD, "hakmemctl top: help. Down scrolls, any other key goes back");
	while (top_help[n])
		n++;
	for (size_t i = 0; i < view->page && view->scroll + i < n; i++)
		put_line(1 + (int)i, A_NORMAL, top_help[view->scroll + i]);
}

/* A message that is too long for the last line takes the line above as well. */
static void put_message(const char *text)
{
	size_t room = COLS > 1 ? (size_t)COLS - 1 : 1, cut = room;
	char first[HAK_WHY_TEXT];

	if (strlen(text) <= room || room >= sizeof(first)) {
		put_line(LINES - 1, A_BOLD, text);
		return;
	}
	while (cut && text[cut] != ' ')
		cut--;
	if (!cut)
		cut = room;
	snprintf(first, sizeof(first), "%.*s", (int)cut, text);
	put_line(LINES - 2, A_BOLD, first);
	put_line(LINES - 1, A_BOLD, text + cut + (text[cut] == ' '));
}

/* The last line: the prompt, or the last message, or the most used keys. */
static void draw_bottom(const struct top_view *view)
{
	static const char *const keys[] = {
		[TOP_TABLE] =
			"h help  q quit  Enter open  s set  P purge  f filter  <> sort  p u c",
		[TOP_DETAIL] = "h help  q back  s set  P purge  Down scroll",
		[TOP_HELP] = "",
	};
	char text[HAK_WHY_TEXT + TOP_INPUT_BYTES + 2], prompt[HAK_WHY_TEXT];

	if (view->prompt != TOP_NO_PROMPT) {
		top_prompt_text(view, prompt);
		snprintf(text, sizeof(text), "%s%s_", prompt, view->input);
		put_line(LINES - 1, A_BOLD, text);
	} else if (*view->message) {
		put_message(view->message);
	} else {
		put_line(LINES - 1, A_DIM, keys[view->mode]);
	}
}

void top_screen_draw(struct top_view *view)
{
	erase();
	if (view->mode == TOP_TABLE)
		draw_table(view);
	else if (view->mode == TOP_DETAIL)
		draw_detail(view);
	else
		draw_help(view);
	draw_bottom(view);
	refresh();
}
