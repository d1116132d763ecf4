# SPDX-License-Identifier: MIT
# fish completion of hakmemctl: every candidate comes from hakmemctl itself.
function __hakmemctl_complete
	set -l words (commandline -opc) (commandline -ct)
	hakmemctl __complete $words[2..-1] 2>/dev/null
end

# The command behind "run ... --" completes as it would on its own.
function __hakmemctl_behind_run
	set -l words (commandline -opc)
	contains -- run $words; and contains -- -- $words
end
complete -c hakmemctl -f -n 'not __hakmemctl_behind_run' -a '(__hakmemctl_complete)'
complete -c hakmemctl -n __hakmemctl_behind_run -a '(__fish_complete_subcommand --fcs-skip=3)'
