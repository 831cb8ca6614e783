#!/bin/bash
# slipstream recover, status: what could not be published is kept, found, published or copied; what killed sessions leave, too.
. "$TOP/tests/cli/lib.sh"
cd "$HOME" || exit 1
mkdir stage; export SLIPSTREAM_STAGE=$HOME/stage BUILD
recover="$slipstream recover --from $HOME/stage"
list() { $recover --list | awk '{print $2, $5}'; } # sizes and paths

# A directory that goes while a file in it is being written: publishing fails, at once.
spoil() { # name, content
	"$slipstream" run -- bash -c 'mkdir -p /goosefs/d; exec 3>/goosefs/d/$1; echo "$2" >&3; "$BUILD/slipstream" fs rm -R /goosefs/d; exec 3>&-' - "$@"
}
is "nothing yet" "$($recover 2>&1)" "slipstream: nothing is left unpublished"
spoil f content 2>err; is "status of run" $? 125
has "run" 'not published: /goosefs/d/f: No such file' "$(cat err)"
has "run" 'slipstream recover' "$(cat err)"
is "list" "$(list)" "8 /goosefs/d/f:"
has "list" 'No such file or directory' "$($recover --list)"
$recover /goosefs/d/f 2>err; is "no directory to publish in" $? 1
has "no directory" 'recover: /goosefs/d/f: No such file' "$(cat err)"
is "still there" "$(list)" "8 /goosefs/d/f:"
$recover /goosefs/nothing 2>err; is "no such file" $? 1
"$slipstream" fs mkdir /goosefs/d
is "publish" "$($recover /goosefs/d/f)" "published /goosefs/d/f"
is "published" "$("$slipstream" fs cat /goosefs/d/f)" content
is "nothing more" "$(list)" ""
is "no directory is left" "$(ls stage)" ""

# What is there is newer.
spoil g old 2>/dev/null
"$slipstream" fs mkdir /goosefs/d; echo new | "$slipstream" fs put - /goosefs/d/g
$recover --all 2>err; is "newer" $? 1; has "newer" 'newer' "$(cat err)"
is "the newer stays" "$("$slipstream" fs cat /goosefs/d/g)" new
$recover --all -f; is "-f" "$("$slipstream" fs cat /goosefs/d/g)" old

# Copies, and the last of several.
spoil h one 2>/dev/null; spoil h two 2>/dev/null
is "two versions" "$(list)" "$(printf '4 /goosefs/d/h:\n4 /goosefs/d/h:')"
mkdir copies; $recover --to copies /goosefs/d/h >/dev/null; is "the last" "$(cat copies/goosefs/d/h)" two
id=$($recover --list | awk '{print $1}')
$recover --to copies "$id" 2>err; is "a copy is there" $? 1; has "a copy" 'File exists' "$(cat err)"
is "by its id" "$($recover --to copies -f "$id" >/dev/null; cat copies/goosefs/d/h)" one
spoil i three 2>/dev/null
is "discard" "$($recover --discard --all; list)" "discarded /goosefs/d/i"

# A place that was named from where somebody was is found from elsewhere.
mkdir from-here
is "a place named from here" "$(cd from-here && SLIPSTREAM_STAGE=near "$slipstream" run -- sh -c 'cd /; dirname "$(readlink "$SLIPSTREAM_SESSION/stage")"')" "$HOME/from-here/near"

# Keeper and run killed: the records are there.
"$slipstream" run -- bash -c '
	exec 3>/goosefs/killed; echo killed >&3; echo done >/goosefs/done; rm -f /goosefs/gone; exec 4>/goosefs/gone; rm /goosefs/gone
	"$BUILD/slipstream" status >status
	kill -9 $PPID $(awk "/^  pid/ {print \$2; exit}" status); exec 3>&- 4>&-' 2>/dev/null
has "status" 'pending /goosefs/killed (open for writing)' "$(cat status)"
has "status" 'mount /goosefs=goosefs://127' "$(cat status)"
has "status" "staging $HOME/stage/slipstream-stage-" "$(cat status)"
for _ in $(seq 100); do # the killed keeper lets go of its files last
	"$slipstream" status >status
	grep -q 'its session was killed' status && break
	sleep 0.1
done
is "status of the dead" "$(grep -c '^session .*/slipstream/[^/]*: dead, its keeper is gone$' status)" 1
has "status of what it left" '^  not published /goosefs/killed: its session was killed (7 bytes)$' "$(cat status)"
is "in one place" "$(grep -c "/goosefs/killed" status)" 1
has "and what to do" 'slipstream recover' "$(tail -n 1 status)"
is "a killed session's" "$(list)" "7 /goosefs/killed:"
has "why" 'its session was killed' "$($recover)"
is "publish it" "$($recover /goosefs/killed)" "published /goosefs/killed"
is "it is published" "$("$slipstream" fs cat /goosefs/killed /goosefs/done)" "$(printf 'killed\ndone')"
is "nothing is left of it" "$(ls -A stage; ls -A "$XDG_RUNTIME_DIR/slipstream")" ""

# A keeper that is gone while \`run\` is still there, and stands still.
"$slipstream" run -- bash -c '
	echo x >/goosefs/x; "$BUILD/slipstream" status >status; keeper=$(awk "/^  pid/ {print \$2; exit}" status)
	kill -STOP $PPID; kill -9 $keeper; "$BUILD/slipstream" status >status; kill -CONT $PPID
	cat /goosefs/x >content'
has "keeper gone, run there" ': dead, its keeper is gone: ' "$(cat status)"
is "and then another" "$(cat content)" x

# After a crash of the machine, the name is gone.
mkdir -m 700 stage/slipstream-stage-lost00; echo lost >stage/slipstream-stage-lost00/1a2b
is "no name" "$($recover --list | awk '{print $1, $2}')" "lost00-1a2b 5"
$recover --all 2>err; is "no name, no place" $? 1
has "status: no session" 'leftover .*/slipstream-stage-lost00' "$("$slipstream" status)"
has "status: no name" 'not published lost00-1a2b: .* (5 bytes)' "$("$slipstream" status)"
is "a copy" "$($recover --to copies lost00-1a2b >/dev/null; cat copies/lost00-1a2b)" lost

# Bad usage.
$recover --to copies 2>/dev/null; is "copies of what" $? 2
$recover --all --to copies --discard 2>/dev/null; is "two things at once" $? 2
$recover --frob 2>/dev/null; is "bad option" $? 2
$recover --all --to nowhere 2>/dev/null; is "no directory" $? 1
"$slipstream" status extra 2>/dev/null; is "status takes nothing" $? 2
exit $failed
