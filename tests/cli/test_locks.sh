#!/bin/bash
# Programs that exclude each other by locks on files of the mount: databases, flock(1); also on a file that another session put there.
. "$TOP/tests/cli/lib.sh"
cat >"$HOME/insert.py" <<'EOP'
"""insert.py DATABASE NUMBER: fifty transactions, each with what it read."""
import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=100, isolation_level=None)
for i in range(50):
    db.execute("begin immediate")
    (n,) = db.execute("select count(*) from t").fetchone()
    db.execute("insert into t values (?, ?)", (int(sys.argv[2]), n))
    db.execute("commit")
db.close()
EOP
cat >"$HOME/count.py" <<'EOP'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
print(*db.execute("select count(*), count(distinct n) from t").fetchone(), *db.execute("pragma integrity_check").fetchone())
EOP
create='import sqlite3, sys; db = sqlite3.connect(sys.argv[1]); db.execute("pragma journal_mode=" + sys.argv[2]); db.execute("create table t (who, n)"); db.commit()'
export SLIPSTREAM_FSYNC=session # a database syncs all the time
for mode in delete wal; do
	$slipstream run -- python3 -c "$create" /goosefs/db-$mode $mode
	# The file is read from a worker's block first, and written then.
	$slipstream run -- sh -c 'python3 "$0/count.py" $1; for n in 1 2 3; do python3 "$0/insert.py" $1 $n & done; wait; python3 "$0/count.py" $1' \
		"$HOME" /goosefs/db-$mode >"$HOME/out" 2>&1
	is "three writers, $mode" "$(cat "$HOME/out")" "$(printf '0 0 ok\n150 150 ok')"
	is "as a later session finds it, $mode" "$($slipstream run -- python3 "$HOME/count.py" /goosefs/db-$mode)" "150 150 ok"
	is "nothing beside it, $mode" "$($slipstream run -- sh -c 'ls /goosefs | grep -c journal')" 0
done

# flock(1): by name and by a writer's descriptor; by readers' descriptors. No update is lost.
cat >"$HOME/add.sh" <<'EOP'
lock=$1 n=$2
for i in $(seq 10); do
	case $n in
	1 | 2) flock "$lock" sh -c 'x=$(cat '"$3"'); echo $((x + 1)) >'"$3" ;;
	3) (flock 9; x=$(cat "$3"); echo $((x + 1)) >"$3") 9>>"$lock" ;;
	*) (flock -x 9; x=$(cat "$3"); echo $((x + 1)) >"$3") 9<"$lock" ;;
	esac
done
EOP
$slipstream run -- sh -c 'echo lock file >/goosefs/lock; : >/goosefs/empty; mkdir /goosefs/directory; echo 0 >/goosefs/n'
for numbers in "1 2 3" "4 5 6"; do for lock in /goosefs/lock /goosefs/empty; do
	is "flock on $lock, $numbers" "$($slipstream run -- sh -c 'echo 0 >/goosefs/n; for n in '"$numbers"'; do sh "$0/add.sh" $1 $n /goosefs/n & done; wait; cat /goosefs/n' "$HOME" $lock)" 30
	is "the lock file, after" "$($slipstream run -- cat $lock)" "$([ $lock = /goosefs/lock ] && echo lock file)"
done; done
is "flock on a directory" "$($slipstream run -- sh -c 'echo 0 >/goosefs/n; for n in 1 2 4; do sh "$0/add.sh" /goosefs/directory $n /goosefs/n & done; wait; cat /goosefs/n' "$HOME")" 30
is "... that is held, and let go" "$($slipstream run -- sh -c 'cd /goosefs; flock directory flock -n directory true; echo $?; exec 9<directory; flock 9; flock -w 0.1 directory true; echo $?; exec 9<&-; flock -n directory echo free')" "$(printf '1\n1\nfree')"
# A lock that flock(1) takes on the shell's descriptor is the shell's, also on a block file.
is "taken" "$($slipstream run -- sh -c 'exec 8</goosefs/lock 9</goosefs/lock; flock 9; flock -n 8; echo $?; flock -u 9; flock -n 8; echo $?')" "$(printf '1\n0')"
is "taken by name" "$($slipstream run -- sh -c 'flock /goosefs/lock flock -n /goosefs/lock true; echo $?; flock /goosefs/lock sh -c "flock -n 9; echo \$?" 9>>/goosefs/lock')" "$(printf '1\n1')"
exit $failed
