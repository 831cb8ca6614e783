# sqlite3: journals, WAL, locks between processes, VACUUM, attached databases, backups.
case_basic() { sqlite3 db 'create table t(a, b); insert into t values(1, "x"), (2, "y"); select * from t;'; sqlite3 db 'update t set b = "z" where a = 1; select count(*), max(b) from t;'; sqlite3 db .dump; sqlite3 db .schema; ls; rm db; }
case_import() { sqlite3 -csv db '.import table.csv imported' 'select count(*) from imported'; sqlite3 db .tables; sqlite3 -header -csv db 'select * from imported limit 2' > out.csv; cat out.csv; sqlite3 -json db 'select * from imported limit 1'; echo 'select 1 + 1;' > q.sql; sqlite3 db < q.sql; sqlite3 db '.read q.sql'; sqlite3 db ".once o.txt" 'select 7'; cat o.txt; rm db; }
case_transaction() { sqlite3 db 'create table t(a)'; sqlite3 db 'begin; insert into t values(1); rollback; select count(*) from t'; sqlite3 db 'begin; insert into t values(1); savepoint s; insert into t values(2); rollback to s; commit; select group_concat(a) from t'; for m in delete truncate persist memory off; do sqlite3 db "pragma journal_mode = $m; insert into t values(3)"; done; ls; sqlite3 db 'select count(*) from t; pragma integrity_check'; rm -f db db-journal; }
case_wal() { sqlite3 db 'pragma journal_mode = wal; create table t(a); insert into t values(1), (2); select count(*) from t'; ls; sqlite3 db 'insert into t values(3); pragma wal_checkpoint; select count(*) from t'; sqlite3 db 'select sum(a) from t'; sqlite3 db 'pragma journal_mode = delete; pragma integrity_check'; ls; rm db; }
case_wal_readers() {
	python3 -I -B - <<-'END'
	import sqlite3, subprocess, sys
	w = sqlite3.connect("db", isolation_level=None)
	print(w.execute("pragma journal_mode = wal").fetchone()); w.execute("create table t(a)"); w.execute("insert into t values(1)")
	r = sqlite3.connect("db", isolation_level=None); r.execute("begin"); print(r.execute("select count(*) from t").fetchone())
	w.execute("insert into t values(2)"); print(r.execute("select count(*) from t").fetchone()); r.execute("commit"); print(r.execute("select count(*) from t").fetchone())
	print(subprocess.run(["sqlite3", "db", "insert into t values(3); select count(*) from t"], stdout=subprocess.PIPE).stdout)
	print(w.execute("select count(*) from t").fetchone()); r.close(); w.close()
	END
	ls; rm db
}
case_locks() {
	python3 -I -B - <<-'END'
	import sqlite3, subprocess
	a = sqlite3.connect("db", isolation_level=None, timeout=0); a.execute("create table t(a)")
	a.execute("begin exclusive"); a.execute("insert into t values(1)")
	def other(q): r = subprocess.run(["sqlite3", "db", q], stdout=subprocess.PIPE, stderr=subprocess.STDOUT); print(r.returncode, r.stdout)
	other("select * from t"); other("insert into t values(2)")
	a.execute("commit"); other("insert into t values(2); select count(*) from t")
	a.execute("begin immediate"); other("select count(*) from t"); other("begin immediate"); a.execute("rollback")
	a.execute("begin"); print(a.execute("select count(*) from t").fetchall()); other("begin immediate; insert into t values(3); select count(*) from t"); a.execute("commit")
	END
	rm -f db db-journal
}
case_vacuum() { sqlite3 db 'create table t(a, b); with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000) insert into t select i, hex(zeroblob(20)) from n; create index x on t(b, a); delete from t where a % 3; vacuum; select count(*), sum(a) from t; pragma integrity_check; pragma page_count'; stat -c %s db; sqlite3 db "vacuum into 'copy'"; sqlite3 copy 'select count(*) from t'; sqlite3 db '.backup back'; sqlite3 back 'select count(*) from t; pragma quick_check'; rm db copy back; }
case_attach() { sqlite3 a 'create table t(x); insert into t values(1)'; sqlite3 b "attach 'a' as o; create table t as select x + 1 as x from o.t; insert into o.t select x from t; select group_concat(x) from o.t"; sqlite3 a 'select * from t'; sqlite3 -readonly a 'insert into t values(9)'; sqlite3 'file:a?mode=ro' 'select count(*) from t'; rm a b; }
case_writers() { sqlite3 db 'create table t(a)'; for i in 1 2 3 4; do (for j in 1 2 3 4 5; do sqlite3 -cmd '.timeout 20000' db "insert into t values($i * 10 + $j)"; done) & done; wait; sqlite3 db 'select count(*), sum(a) from t; pragma integrity_check'; rm db; }
case_hot_journal() {
	python3 -I -B - <<-'END'
	import sqlite3, subprocess, os, signal, sys
	subprocess.run(["sqlite3", "db", "create table t(a); insert into t values(1)"])
	code = 'import sqlite3, os; c = sqlite3.connect("db", isolation_level=None); c.execute("pragma cache_size = 2"); c.execute("begin"); c.executemany("insert into t values(?)", [("x" * 900,)] * 200); os.kill(os.getpid(), 9)'
	print(subprocess.run([sys.executable, "-I", "-c", code]).returncode)
	END
	ls db*; sqlite3 db 'select count(*) from t; pragma integrity_check'; ls db*; rm db
}
case_python() {
	python3 -I -B - <<-'END'
	import sqlite3
	c = sqlite3.connect("db"); c.execute("create table t(k integer primary key, v blob)")
	with c: c.executemany("insert into t(v) values(?)", [(bytes([i]) * 5000,) for i in range(200)])
	print(c.execute("select count(*), sum(length(v)) from t").fetchone())
	try:
	    with c: c.execute("delete from t"); raise ValueError
	except ValueError: pass
	print(c.execute("select count(*) from t").fetchone())
	b = sqlite3.connect("back"); c.backup(b); print(b.execute("select count(*) from t").fetchone()); b.close()
	c.execute("pragma mmap_size = 1000000"); print(c.execute("select sum(length(v)) from t where k > 100").fetchone()); print("\n".join(c.iterdump())[:40]); c.close()
	END
	rm db back
}
case_errors() { sqlite3 docs 'select 1 from sqlite_master'; sqlite3 nothing/db 'create table t(a)'; sqlite3 words.txt 'select * from t'; : > empty; sqlite3 empty 'select count(*) from sqlite_master'; sqlite3 -readonly missing 'select * from t'; ls missing; }
