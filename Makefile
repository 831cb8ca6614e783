# Slipstream. One file, no recursion; `make help` explains it. A new source file needs no list edited.

BUILD     ?= build
CC        ?= cc
PREFIX    ?= /usr/local
DESTDIR   ?=
V         ?= 0
VERSION   := 0.1.0

Q_0 = @
Q   = $(Q_$(V))

PKGS      := grpc libprotobuf-c
OPT       ?= -O2 -g
SAN       ?=
WARN      := -Wall -Wextra -Werror
CFLAGS    ?=
CPPFLAGS  ?=
LDFLAGS   ?=
BASE      := -std=gnu11 -D_GNU_SOURCE -DSLIPSTREAM_VERSION='"$(VERSION)"' -I. -I$(BUILD)/proto $(OPT) $(WARN) \
             -fvisibility=hidden -fno-omit-frame-pointer -fPIC -pthread -MMD -MP $(SAN) $(CPPFLAGS)
PC_CFLAGS := $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
GRPC_LIBS := $(shell pkg-config --libs $(PKGS) 2>/dev/null)
LDBASE    := -pthread $(SAN) $(LDFLAGS) -Wl,--as-needed -Wl,-z,defs
ifneq ($(SAN),)
LDBASE    := -pthread $(SAN) $(LDFLAGS)
endif

# The wire: generated C lives in build/proto/goosefs, next to nothing of ours.
PROTOS     := $(wildcard proto/goosefs/*.proto)
PROTO_GENC := $(PROTOS:proto/%.proto=$(BUILD)/proto/%.pb-c.c)
PROTO_GENH := $(PROTO_GENC:.c=.h)

obj = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))

PROTO_OBJ  := $(call obj,$(wildcard proto/*.c)) $(PROTO_GENC:.c=.o)
CLIENT_OBJ := $(call obj,$(wildcard client/*.c client/*/*.c))
SERVER_OBJ := $(call obj,$(wildcard tools/server/*.c))
TOOL_OBJ   := $(call obj,$(wildcard tools/*.c))
SHIM_OBJ   := $(call obj,$(wildcard shim/*.c))

UNIT       := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_*.c))
BACKEND    := $(patsubst tests/backend/%.c,$(BUILD)/tests/backend/%,$(wildcard tests/backend/test_*.c))
POSIX      := $(patsubst tests/posix/%.c,$(BUILD)/tests/posix/%,$(wildcard tests/posix/test_*.c))
SYMTEST    := $(patsubst tests/symbols/%.c,$(BUILD)/tests/symbols/%,$(wildcard tests/symbols/*.c))
BENCHES    := $(patsubst tools/bench/%.c,$(BUILD)/bench/%,$(wildcard tools/bench/*.c))
EXAMPLES   := $(patsubst docs/examples/%.c,$(BUILD)/examples/%,$(wildcard docs/examples/*.c))

LIBS       := $(BUILD)/libslipstream-client.so $(BUILD)/libslipstream.so
PROGRAM    := $(BUILD)/slipstream

.PHONY: all check asan tsan lint bench install help clean tests format
.SECONDARY:
all: $(LIBS) $(PROGRAM)

help:
	@echo "make                     build $(BUILD)/slipstream, libslipstream.so, libslipstream-client.so"
	@echo "make check [T=name]      every test, or those whose name begins so; prints only what failed"
	@echo "make asan, make tsan     the unit and backend tests under AddressSanitizer and UBSan, or ThreadSanitizer"
	@echo "make lint                clang-format, clang-tidy, layering"
	@echo "make bench [B=name]      numbers as ratios, and the command that made them"
	@echo "make install PREFIX=dir  /usr/local unless told; DESTDIR is honoured"
	@echo "make clean               remove $(BUILD)/"
	@echo "Settings: CC=clang  OPT='-O0 -g'  V=1 (show commands)  BUILD=dir  CFLAGS, CPPFLAGS, LDFLAGS"

$(BUILD)/proto/%.pb-c.c $(BUILD)/proto/%.pb-c.h: proto/%.proto $(PROTOS)
	@mkdir -p $(@D)
	$(Q)cd proto && protoc-c --c_out=$(abspath $(BUILD))/proto $*.proto

$(BUILD)/proto/%.o: $(BUILD)/proto/%.c | $(PROTO_GENH)
	$(Q)$(CC) $(BASE) $(PC_CFLAGS) -Wno-error -w $(CFLAGS) -c -o $@ $<

# Wrappers see libc as it is, not as _FORTIFY_SOURCE redraws it.
$(BUILD)/obj/shim/%.o: shim/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=0 -fno-builtin $(CFLAGS) -c -o $@ $<

# They are in the way of every call of a program, with the kernel between two: two lines of the cache, then, and no frame.
$(BUILD)/obj/shim/wrap.o $(BUILD)/obj/shim/variadic.o: BASE += -fomit-frame-pointer -falign-functions=64

$(BUILD)/obj/%.o: %.c | $(PROTO_GENH)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE) $(PC_CFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/libslipstream-client.so: $(CLIENT_OBJ) $(PROTO_OBJ)
	$(Q)$(CC) $(LDBASE) -shared -Wl,-soname,$(@F) -o $@ $^ $(GRPC_LIBS)

# Every process pays for a mapping: two instead of four, and none split to be protected once it is relocated, for the tables of
# functions on the same page are written to as long as the process lives.
$(BUILD)/libslipstream.so: $(SHIM_OBJ)
	$(Q)$(CC) $(LDBASE) -Wl,-z,noseparate-code -Wl,-z,norelro -shared -Wl,-soname,$(@F) -o $@ $^ -ldl

$(PROGRAM): $(TOOL_OBJ) $(SERVER_OBJ) $(PROTO_OBJ) $(BUILD)/libslipstream-client.so
	$(Q)$(CC) $(LDBASE) -Wl,-rpath,'$$ORIGIN:$$ORIGIN/../lib/slipstream' -o $@ $(filter %.o,$^) \
		-L$(BUILD) -lslipstream-client $(GRPC_LIBS) -lsqlite3 -lpopt

# Unit tests link the objects themselves; what is hidden in the library is visible here.
$(BUILD)/tests/unit/%: $(BUILD)/obj/tests/unit/%.o $(CLIENT_OBJ) $(PROTO_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDBASE) -o $@ $^ $(GRPC_LIBS) -lcmocka

$(BUILD)/tests/backend/%: $(BUILD)/obj/tests/backend/%.o $(CLIENT_OBJ) $(PROTO_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDBASE) -o $@ $^ $(GRPC_LIBS) -lcmocka

# Posix tests know nothing of us: plain programs, run on the kernel first and then under the shim.
$(BUILD)/tests/posix/%: $(BUILD)/obj/tests/posix/%.o
	@mkdir -p $(@D)
	$(Q)$(CC) -pthread -o $@ $^

$(BUILD)/tests/symbols/%: $(BUILD)/obj/tests/symbols/%.o
	@mkdir -p $(@D)
	$(Q)$(CC) -pthread -o $@ $^ -ldl

# Plain programs, as the posix tests are; but for the pump, which is the wire alone.
$(BUILD)/bench/%: $(BUILD)/obj/tools/bench/%.o
	@mkdir -p $(@D)
	$(Q)$(CC) -pthread -o $@ $^ -ldl

$(BUILD)/bench/pump: $(BUILD)/obj/tools/bench/pump.o $(PROTO_OBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDBASE) -o $@ $^ $(GRPC_LIBS)

# As they are written for an installed header.
$(BUILD)/obj/docs/examples/%.o: CFLAGS += -Iclient

$(BUILD)/examples/%: $(BUILD)/obj/docs/examples/%.o $(BUILD)/libslipstream-client.so
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDBASE) -Wl,-rpath,'$$ORIGIN/..' -o $@ $< -L$(BUILD) -lslipstream-client

tests: all $(UNIT) $(BACKEND) $(POSIX) $(SYMTEST) $(EXAMPLES)

check: tests
	$(Q)BUILD=$(BUILD) tests/run $(T)

asan:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/asan OPT='-O1 -g' \
		SAN='-fsanitize=address,undefined -fno-sanitize-recover=undefined' sanitized

tsan:
	$(Q)$(MAKE) --no-print-directory BUILD=$(BUILD)/tsan OPT='-O1 -g' SAN='-fsanitize=thread' sanitized

# Under a sanitizer the shim is left out: a preloaded sanitizer runtime would sit in every program.
.PHONY: sanitized
sanitized: $(BUILD)/libslipstream-client.so $(PROGRAM) $(UNIT) $(BACKEND)
	$(Q)BUILD=$(BUILD) tests/run --sanitized $(T)

lint: $(PROTO_GENH)
	$(Q)BUILD=$(BUILD) tools/lint

format:
	$(Q)git ls-files '*.c' '*.h' | xargs clang-format -i

bench: all $(BENCHES)
	$(Q)BUILD=$(BUILD) tools/bench/run $(B)

install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/slipstream $(DESTDIR)$(PREFIX)/include
	install -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/
	install -m 755 $(LIBS) $(DESTDIR)$(PREFIX)/lib/slipstream/
	install -m 644 client/slipstream.h $(DESTDIR)$(PREFIX)/include/
	install -d $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	install -m 644 docs/slipstream.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 tools/slipstream.bash-completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/slipstream

clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
