# SPDX-License-Identifier: MIT
# Makes man/hakmem-tuning.7 from doc/tuning.md: awk -f man/tuning.awk doc/tuning.md. tests/docs.test
# fails where the page is not what this program writes.

# Converts the markup inside a line to troff. A leading dot or quote is text.
function inline(s,    out, bold)
{
	gsub(/\\/, "\\e", s)
	gsub(/-/, "\\-", s)
	bold = 0
	out = ""
	while (match(s, /`/)) {
		out = out substr(s, 1, RSTART - 1) (bold ? "\\fP" : "\\fB")
		bold = !bold
		s = substr(s, RSTART + 1)
	}
	s = out s
	if (s ~ /^[.']/)
		s = "\\&" s
	return s
}

function flush()
{
	if (text != "")
		print inline(text)
	text = ""
}

BEGIN {
	print ".\\\" Written from doc/tuning.md by man/tuning.awk; do not edit."
	print ".\\\" SPDX-License-Identifier: MIT"
	print ".TH hakmem\\-tuning 7 \"\" \"hakmem\" \"Miscellaneous\""
	print ".SH NAME"
	print "hakmem\\-tuning \\- guide to the settings and limits of hakmem"
	print ".SH DESCRIPTION"
}

/^# / { next }
/^## / {
	flush()
	print ".SH " toupper(inline(substr($0, 4)))
	fresh = 1
	next
}
/^$/ {
	flush()
	paragraph = 1
	next
}
/^- \*\*/ {
	flush()
	s = $0
	sub(/^- \*\*/, "", s)
	sub(/\*\*$/, "", s)
	print ".TP"
	print "\\fB" inline(s) "\\fP"
	fresh = 1
	next
}
/^- / {
	flush()
	print ".IP \\(bu 3"
	text = substr($0, 3)
	paragraph = fresh = 0
	next
}
{
	sub(/^  /, "")
	if (text == "" && paragraph && !fresh && printed)
		print ".PP"
	text = text == "" ? $0 : text " " $0
	paragraph = fresh = 0
	printed = 1
}

END {
	flush()
	print ".SH SEE ALSO"
	print ".BR hakmemctl (1),"
	print ".BR hakmem\\-advise (1),"
	print ".BR hakmem (7),"
	print ".BR hakmem\\-tunables (7),"
	print ".BR hakmem\\-counters (7)"
}
