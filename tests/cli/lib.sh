# What the tests of the command share; sourced. They end with: exit $failed
set -u
slipstream=$BUILD/slipstream
failed=0
is() { # what, got, wanted
	[ "$2" = "$3" ] && return
	printf '%s: got "%s", wanted "%s"\n' "$1" "$2" "$3"
	failed=1
}
has() { # what, pattern, text
	printf '%s\n' "$3" | grep -q -- "$2" && return
	printf '%s: "%s" does not say "%s"\n' "$1" "$3" "$2"
	failed=1
}
