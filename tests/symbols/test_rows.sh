#!/bin/sh
# rows.c in a session: see there.
set -eu
export SLIPSTREAM_SHORT_CIRCUIT=false # so that "big" is read by range
"$BUILD/slipstream" run -- sh -c 'head -c 3000000 /dev/urandom > /goosefs/big'
exec "$BUILD/slipstream" run -- "$BUILD/tests/symbols/rows" /goosefs
