# SPDX-License-Identifier: MIT
# The checks of configure.ac, one macro each, so that configure.ac reads as a table of contents.
# Each optional part NAME ends as with_NAME=yes|no and why_NAME=reason, which the summary prints.

# HAK_WITH(NAME, WHAT): --with-NAME and --without-NAME; neither means "if it can be built".
AC_DEFUN([HAK_WITH],
[AC_ARG_WITH([$1], [AS_HELP_STRING([--without-$1], [leave out $2])],
	[AS_IF([test "$with_$1" = no], [why_$1="--without-$1"], [with_$1=yes])],
	[with_$1=auto])])

# HAK_LACKS(NAME, REASON): part NAME cannot be built. Fatal if it was asked for.
AC_DEFUN([HAK_LACKS],
[AS_IF([test "$with_$1" = yes], [AC_MSG_ERROR([--with-$1: $2])])
why_$1="$2"
with_$1=no])

# HAK_CHECK_CTL: hakmemctl prints tables by libsmartcols and JSON by json-c.
AC_DEFUN([HAK_CHECK_CTL],
[AS_IF([test "$with_ctl" != no],
	[PKG_CHECK_MODULES([CTL], [smartcols >= 2.33 json-c >= 0.14],
		[with_ctl=yes],
		[HAK_LACKS([ctl], [libsmartcols 2.33 and json-c 0.14 with headers are needed])])])
AC_SUBST([CTL_CFLAGS])
AC_SUBST([CTL_LIBS])
AM_CONDITIONAL([HAK_CTL], [test "$with_ctl" = yes])])

# HAK_CHECK_CURSES: after HAK_CHECK_CTL; the screen of hakmemctl top, by ncurses.
AC_DEFUN([HAK_CHECK_CURSES],
[AS_IF([test "$with_curses" != no && test "$with_ctl" != yes],
	[HAK_LACKS([curses], [only hakmemctl uses it])])
AS_IF([test "$with_curses" != no],
	[PKG_CHECK_MODULES([CURSES], [ncursesw >= 6.1], [with_curses=yes],
		[HAK_LACKS([curses], [ncursesw 6.1 with headers is needed])])])
AS_IF([test "$with_curses" = no], [CURSES_CFLAGS= CURSES_LIBS=])
AC_SUBST([CURSES_CFLAGS])
AC_SUBST([CURSES_LIBS])
AM_CONDITIONAL([HAK_CURSES], [test "$with_curses" = yes])])

# HAK_CHECK_JSON: json-c, by which hakmemctl and hakmemd say what a process holds.
AC_DEFUN([HAK_CHECK_JSON],
[hak_json=no
PKG_CHECK_MODULES([JSON], [json-c >= 0.14], [hak_json=yes], [:])
AC_SUBST([JSON_CFLAGS])
AC_SUBST([JSON_LIBS])
AM_CONDITIONAL([HAK_JSON], [test $hak_json = yes])])

# HAK_CHECK_SYSTEMD: libsystemd is hakmemd's event loop, bus and journal, and hakmemctl's bus and
# journal; hakmemctl builds without it.
AC_DEFUN([HAK_CHECK_SYSTEMD],
[AS_IF([test "$with_systemd" != no],
	[PKG_CHECK_MODULES([SYSTEMD], [libsystemd >= 245],
		[with_systemd=yes],
		[HAK_LACKS([systemd], [libsystemd 245 with headers is needed])])])
AS_IF([test "$with_systemd" = yes],
	[AC_DEFINE([HAK_SYSTEMD], [1], [libsystemd is linked])],
	[AC_DEFINE([HAK_SYSTEMD], [0], [libsystemd is linked])])
AC_SUBST([SYSTEMD_CFLAGS])
AC_SUBST([SYSTEMD_LIBS])
AM_CONDITIONAL([HAK_SYSTEMD], [test "$with_systemd" = yes])])

# HAK_CHECK_DAEMON: after HAK_CHECK_SYSTEMD and HAK_CHECK_JSON.
AC_DEFUN([HAK_CHECK_DAEMON],
[AS_IF([test "$with_daemon" != no],
	[AS_IF([test "$with_systemd" = no],
		[HAK_LACKS([daemon], [its event loop is libsystemd's: $why_systemd])],
		[test $hak_json = no],
		[HAK_LACKS([daemon], [json-c 0.14 with headers is needed])],
		[with_daemon=yes])])
AM_CONDITIONAL([HAK_DAEMON], [test "$with_daemon" = yes])])

# HAK_CHECK_EXPORTER: after HAK_CHECK_DAEMON; the daemon's metrics over HTTP, by libmicrohttpd.
AC_DEFUN([HAK_CHECK_EXPORTER],
[AS_IF([test "$with_exporter" != no && test "$with_daemon" != yes],
	[HAK_LACKS([exporter], [it is hakmemd's: $why_daemon])])
AS_IF([test "$with_exporter" != no],
	[PKG_CHECK_MODULES([MHD], [libmicrohttpd >= 0.9.71], [with_exporter=yes],
		[HAK_LACKS([exporter], [libmicrohttpd 0.9.71 with headers is needed])])])
AC_SUBST([MHD_CFLAGS])
AC_SUBST([MHD_LIBS])
AM_CONDITIONAL([HAK_EXPORTER], [test "$with_exporter" = yes])])

# HAK_SYSTEMD_DIRS: where units and their like go: below the prefix, where systemd looks as well; as
# systemd.pc says where that is /usr.
AC_DEFUN([HAK_SYSTEMD_DIRS],
[hak_unitdir='${prefix}/lib/systemd/system'
AS_IF([test "$prefix" = /usr],
	[hak_dir=`$PKG_CONFIG --variable=systemdsystemunitdir systemd 2>/dev/null`
	AS_IF([test -n "$hak_dir"], [hak_unitdir=$hak_dir])])
AC_ARG_WITH([systemdsystemunitdir],
	[AS_HELP_STRING([--with-systemdsystemunitdir=DIR], [units of systemd])],
	[], [with_systemdsystemunitdir=$hak_unitdir])
AC_SUBST([systemdsystemunitdir], [$with_systemdsystemunitdir])
AC_SUBST([tmpfilesdir], ['${prefix}/lib/tmpfiles.d'])
AC_SUBST([catalogdir], ['${prefix}/lib/systemd/catalog'])])

# HAK_BUS_DIRS: where D-Bus and polkit look when the prefix is /usr; a build with another prefix and
# a system's bus wants /usr/share/dbus-1 and /usr/share/polkit-1 named.
AC_DEFUN([HAK_BUS_DIRS],
[AC_ARG_WITH([dbusdatadir],
	[AS_HELP_STRING([--with-dbusdatadir=DIR], [D-Bus policies and services (DATADIR/dbus-1)])],
	[], [with_dbusdatadir='${datadir}/dbus-1'])
AC_SUBST([dbusdatadir], [$with_dbusdatadir])
AC_ARG_WITH([polkitdatadir],
	[AS_HELP_STRING([--with-polkitdatadir=DIR], [actions of polkit (DATADIR/polkit-1)])],
	[], [with_polkitdatadir='${datadir}/polkit-1'])
AC_SUBST([polkitdatadir], [$with_polkitdatadir])])

# HAK_BUS_NOTE: sets hak_bus_note if D-Bus or polkit do not look where their files go. To be used
# when the prefix is known.
AC_DEFUN([HAK_BUS_NOTE],
[hak_bus_dirs="$with_dbusdatadir $with_polkitdatadir"
for hak_i in 1 2 3 4; do
	eval "hak_bus_dirs=\"$hak_bus_dirs\""
done
AS_CASE(["$with_daemon $hak_bus_dirs"],
	[no*|"yes /usr/share/dbus-1 /usr/share/polkit-1"], [hak_bus_note=],
	[hak_bus_note="
  D-Bus and polkit do not look in $hak_bus_dirs:
  hakmemd will have no name on the bus, and will not be started by it. To change that, pass
  --prefix=/usr, or
  --with-dbusdatadir=/usr/share/dbus-1 --with-polkitdatadir=/usr/share/polkit-1
"])])

# HAK_CHECK_BPF: the loaders need libbpf 1.0 and, for symbols, elfutils' libdw; profiles are written
# by zlib; the programs need clang and bpftool, or come ready made with a tarball. Only hakmemctl
# uses them. Names of C++ are read by what g++ links into every program, which is an archive:
# nothing needs libstdc++ for it.
AC_DEFUN([HAK_CHECK_BPF],
[AC_CHECK_PROGS([BPF_CLANG],
	[clang clang-20 clang-19 clang-18 clang-17 clang-16 clang-15 clang-14])
AC_PATH_PROG([BPFTOOL], [bpftool], [], [$PATH$PATH_SEPARATOR/usr/sbin$PATH_SEPARATOR/sbin])
hak_bpf_compile=no
AS_IF([test "$with_bpf" != no && test "$with_ctl" != yes],
	[HAK_LACKS([bpf], [only hakmemctl uses them])])
AS_IF([test "$with_bpf" != no],
	[PKG_CHECK_MODULES([BPF], [libbpf >= 1.0 libdw >= 0.170 libelf zlib], [],
		[HAK_LACKS([bpf], [libbpf 1.0, libdw, libelf and zlib with headers are needed])])])
AS_IF([test "$with_bpf" != no],
	[AC_CACHE_CHECK([whether BPF programs can be compiled], [hak_cv_bpf_compile],
		[hak_cv_bpf_compile=no
		AS_ECHO(["int f(void *c) { return 0; }"]) >conftest.bpf.c
		AS_IF([test -n "$BPF_CLANG" && test -n "$BPFTOOL" &&
			$BPF_CLANG -g -O2 -mcpu=v3 -target bpf -fdebug-compilation-dir=. \
				-ffile-prefix-map=/nonexistent=. -c -o conftest.bpf.o \
				conftest.bpf.c >&AS_MESSAGE_LOG_FD 2>&1 &&
			"$BPFTOOL" gen object conftest.bpf2.o conftest.bpf.o \
				>&AS_MESSAGE_LOG_FD 2>&1],
			[hak_cv_bpf_compile=yes])
		rm -f conftest.bpf*])
	hak_bpf_compile=$hak_cv_bpf_compile
	AS_IF([test $hak_bpf_compile = yes], [with_bpf=yes],
		[test -r "$srcdir/bpf/prebuilt/life.skel.h"],
		[with_bpf=yes; hak_bpf_from="ready made, as there is no clang with bpftool"],
		[HAK_LACKS([bpf], [clang and bpftool are needed to compile the programs])])])
hak_demangle=0
AS_IF([test "$with_bpf" = yes],
	[hak_bpf=1
	AC_CHECK_LIB([supc++], [__gcclibcxx_demangle_callback],
		[hak_demangle=1; BPF_LIBS="$BPF_LIBS -lsupc++"],
		[hak_bpf_from="${hak_bpf_from:+$hak_bpf_from; }C++ names as the linker has them:]
[ no libsupc++.a"])],
	[hak_bpf=0])
AC_DEFINE_UNQUOTED([HAK_DEMANGLE], [$hak_demangle], [1: libsupc++ reads names of C++])
AC_DEFINE_UNQUOTED([HAK_BPF], [$hak_bpf], [1: hakmemctl has BPF programs])
AC_SUBST([BPF_CFLAGS])
AC_SUBST([BPF_LIBS])
AM_CONDITIONAL([HAK_BPF], [test "$with_bpf" = yes])
AM_CONDITIONAL([HAK_BPF_COMPILE], [test $hak_bpf_compile = yes])])

# HAK_SANITIZERS: --enable-sanitizers=LIST. Everything takes undefined; address and thread go to all
# but libhakmem, since a malloc cannot be built with a sanitizer that replaces malloc. In the
# library, undefined traps instead of reporting, for the reporting run time allocates.
AC_DEFUN([HAK_SANITIZERS],
[AC_ARG_ENABLE([sanitizers],
	[AS_HELP_STRING([--enable-sanitizers=LIST],
		[of address, undefined and thread; without a list address,undefined])],
	[], [enable_sanitizers=no])
AS_CASE([$enable_sanitizers],
	[no], [hak_sanitizers=],
	[yes], [hak_sanitizers="address undefined"],
	[hak_sanitizers=`AS_ECHO(["$enable_sanitizers"]) | tr , ' '`])
hak_asan=no; hak_ubsan=no; hak_tsan=no
for hak_s in $hak_sanitizers; do
	AS_CASE([$hak_s],
		[address], [hak_asan=yes],
		[undefined], [hak_ubsan=yes],
		[thread], [hak_tsan=yes],
		[AC_MSG_ERROR([--enable-sanitizers: unknown sanitizer "$hak_s"])])
done
AS_IF([test $hak_asan$hak_tsan = yesyes],
	[AC_MSG_ERROR([--enable-sanitizers: address and thread exclude each other])])
HAK_SAN_CFLAGS= HAK_SAN_LIB_CFLAGS=
AS_IF([test -n "$hak_sanitizers"],
	[HAK_SAN_CFLAGS="-fsanitize=`AS_ECHO(["$hak_sanitizers"]) | tr ' ' ,`"
	AS_VAR_APPEND([HAK_SAN_CFLAGS], [" -fno-omit-frame-pointer"])
	AS_IF([test $hak_ubsan = yes],
		[AS_VAR_APPEND([HAK_SAN_CFLAGS], [" -fno-sanitize-recover=undefined"])
		HAK_SAN_LIB_CFLAGS="-fsanitize=undefined -fsanitize-undefined-trap-on-error"])
	hak_save_CFLAGS=$CFLAGS
	CFLAGS="$CFLAGS $HAK_SAN_CFLAGS"
	AC_MSG_CHECKING([whether $CC links with $HAK_SAN_CFLAGS])
	AC_LINK_IFELSE([AC_LANG_PROGRAM], [AC_MSG_RESULT([yes])],
		[AC_MSG_RESULT([no])
		AC_MSG_ERROR([the run time of these sanitizers is not installed])])
	CFLAGS=$hak_save_CFLAGS])
AC_SUBST([HAK_SAN_CFLAGS])
AC_SUBST([HAK_SAN_LIB_CFLAGS])
AM_CONDITIONAL([HAK_ASAN], [test $hak_asan = yes])
AM_CONDITIONAL([HAK_UBSAN], [test $hak_ubsan = yes])
AM_CONDITIONAL([HAK_TSAN], [test $hak_tsan = yes])
AM_CONDITIONAL([HAK_SANITIZE], [test -n "$hak_sanitizers"])])

# HAK_ADD_FLAGS(VARIABLE, FLAGS...): append each flag the C compiler takes. Unknown warnings are
# errors while probing, as clang would otherwise accept gcc's and complain at every file.
AC_DEFUN([HAK_ADD_FLAGS],
[AC_SUBST([$1])
for hak_flag in m4_normalize([$2]); do
	AS_VAR_PUSHDEF([hak_var], [hak_cv_flag_$hak_flag])
	AC_CACHE_CHECK([whether $CC takes $hak_flag], [hak_var],
		[hak_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $hak_flag"
		AC_LINK_IFELSE([AC_LANG_PROGRAM],
			[AS_VAR_SET([hak_var], [yes])], [AS_VAR_SET([hak_var], [no])])
		CFLAGS=$hak_save_CFLAGS])
	AS_VAR_IF([hak_var], [yes], [AS_VAR_APPEND([$1], [" $hak_flag"])])
	AS_VAR_POPDEF([hak_var])
done])

# HAK_FLAGS: flags of ours, see Makefile.am for who gets which.
AC_DEFUN([HAK_FLAGS],
[AC_LANG_PUSH([C])
AC_CACHE_CHECK([which compiler $CC is], [hak_cv_compiler],
	[AC_PREPROC_IFELSE([AC_LANG_PROGRAM([[#ifndef __clang__
#error gcc
#endif]])], [hak_cv_compiler=clang], [hak_cv_compiler=gcc])])
hak_compiler=$hak_cv_compiler

HAK_ADD_FLAGS([HAK_WARN_CFLAGS], [-Wall -Wextra -Wundef -Wshadow -Wpointer-arith -Wwrite-strings
	-Wvla -Wformat=2 -Wimplicit-fallthrough -Wstrict-prototypes -Wmissing-prototypes
	-Wold-style-definition -Wno-format-nonliteral -Wno-unused-parameter
	-Wno-missing-field-initializers
	-Werror=implicit-function-declaration -Werror=incompatible-pointer-types
	-Werror=int-conversion -Werror=return-type])
HAK_ADD_FLAGS([HAK_OWN_CFLAGS], [-std=gnu11 -fvisibility=hidden -fno-strict-aliasing -fno-common
	-fno-plt])

# What keeps a compiler from turning malloc(n)+memset into calloc, or from dropping a malloc and its
# free, which in the library would be endless recursion and in the tests would be nothing left to
# test.
HAK_ADD_FLAGS([HAK_BUILTIN_CFLAGS], [-fno-builtin-malloc -fno-builtin-calloc -fno-builtin-realloc
	-fno-builtin-reallocarray -fno-builtin-free -fno-builtin-aligned_alloc
	-fno-builtin-posix_memalign -fno-builtin-memalign -fno-builtin-valloc -fno-builtin-pvalloc
	-fno-builtin-strdup -fno-builtin-strndup])

# What tests do on purpose.
HAK_ADD_FLAGS([HAK_MISUSE_CFLAGS], [-Wno-free-nonheap-object -Wno-use-after-free])

# The library must not wait for the dynamic linker inside malloc: initial-exec TLS needs no
# __tls_get_addr (which allocates), and everything is bound at load.
HAK_ADD_FLAGS([HAK_TLS_CFLAGS], [-ftls-model=initial-exec])
HAK_ADD_FLAGS([HAK_BIND_LDFLAGS], [-Wl,-z,now -Wl,-z,relro -Wl,-z,nodelete -Wl,-z,defs
	-Wl,--as-needed])
HAK_ADD_FLAGS([HAK_PROG_LDFLAGS], [-Wl,-z,now -Wl,-z,relro -Wl,--as-needed])
# Newer lld refuses a version script that names a symbol left out by --disable-control.
HAK_ADD_FLAGS([HAK_BIND_LDFLAGS], [-Wl,--undefined-version])

# Builds in two folders give the same bytes: no path of this one gets in.
HAK_ADD_FLAGS([HAK_PREFIX_CFLAGS], [-ffile-prefix-map=/nonexistent=.])
AS_IF([test -n "$HAK_PREFIX_CFLAGS"],
	[HAK_PREFIX_CFLAGS='-ffile-prefix-map=$(abs_top_srcdir)/='
	AS_VAR_APPEND([HAK_PREFIX_CFLAGS], [' -ffile-prefix-map=$(top_srcdir)/='])
	dnl what is generated lies there, beside sources or not
	AS_VAR_APPEND([HAK_PREFIX_CFLAGS], [' -ffile-prefix-map=$(top_builddir)/='])
	AS_VAR_APPEND([HAK_PREFIX_CFLAGS], [' -ffile-prefix-map=$(abs_top_builddir)=.'])])
# gcc lets the last prefix win, clang the shortest, which would make ./build a part of the sources.
HAK_ADD_FLAGS([HAK_PREFIX_CFLAGS], [-fdebug-compilation-dir=.])
AC_LANG_POP([C])])
