# GNU make. `make help` lists what one needs daily.
#
# make                  builds for the Lua that is there and leaves ssocket.so and ssocket/tls.so here as well
# make LUA=lua5.3       builds build/lua5.3/ssocket.so   (lua5.1 luajit lua5.2 lua5.3 lua5.4 ...)
# make LUA=lua5.4-api   builds build/lua5.4-api/ssocket.so for a Lua that script/luas has built
# make LUA=lua5.4 SANITIZE=1      build/asan-lua5.4/ssocket.so with AddressSanitizer and UBSan
# make WERROR=1         warnings are errors, as in CI
#
# Usual variables: CC CPPFLAGS CFLAGS LDFLAGS LDLIBS PREFIX DESTDIR LUA_CMOD LUA_LMOD INSTALL PKG_CONFIG.
# CFLAGS replaces the optimisation below, never what the module needs to work.

CFLAGS ?= -O2 -g
INSTALL ?= install
PKG_CONFIG ?= pkg-config
BUILD ?= build

# --- which Lua -------------------------------------------------------------------------------------

# Only a plain `make` leaves a copy in the root: with LUA= given one works on several at a time.
ifeq ($(strip $(LUA)),)
ROOT_COPY := ssocket.so
endif

FACTS := $(shell script/lua-info facts $(LUA))
override LUA := $(word 1,$(FACTS))
LUA_NAME := $(word 2,$(FACTS))
LUA_VERSION := $(word 3,$(FACTS))
LUA_PKG := $(word 4,$(FACTS))

# As system headers, so that the warnings below are about our code.
LUA_CPPFLAGS := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(LUA_PKG) 2>/dev/null))
LUA_LDLIBS = $(shell $(PKG_CONFIG) --libs $(LUA_PKG))

# With PREFIX the caller decides, without it the Lua does: it is asked where it looks.
ifdef PREFIX
LUA_CMOD ?= $(PREFIX)/lib/lua/$(LUA_VERSION)
LUA_LMOD ?= $(PREFIX)/share/lua/$(LUA_VERSION)
else
LUA_CMOD ?= $(shell script/lua-info cmod $(LUA) $(LUA_PKG))
LUA_LMOD ?= $(shell script/lua-info lmod $(LUA) $(LUA_PKG))
endif

# --- flags -----------------------------------------------------------------------------------------

WARNINGS ?= -Wall -Wextra -Wpedantic -Wconversion -Wshadow
ifdef WERROR
WARNINGS += -Werror
endif

# Luas of script/luas that are not the machine's kind.
ifneq ($(filter %-m32,$(LUA_NAME)),)
override CC += -m32
else ifneq ($(filter %-musl,$(LUA_NAME)),)
override CC := musl-gcc
endif

SAN_FLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
ifneq ($(filter %-asan,$(LUA_NAME)),) # a Lua with sanitizers (script/luas)
SAN := $(SAN_FLAGS)
else ifdef SANITIZE
SAN := $(SAN_FLAGS)
VARIANT := asan-
endif

ifeq ($(shell uname -s),Darwin)
MODULE_LDFLAGS := -bundle -undefined dynamic_lookup
else
MODULE_LDFLAGS := -shared
EXPORT_LDFLAGS := -Wl,--version-script=src/exports.map
TLS_EXPORT_LDFLAGS := -Wl,--version-script=src/tls/exports.map
HELPER_LDFLAGS := -Wl,-z,nodelete # since Lua 5.5 an allocator is called as long as there are strings made with it
HOST_LDFLAGS := -Wl,-E # a module finds Lua in the program that loads it
endif
ifeq ($(shell uname -s),Linux)
LDLIBS_DL := -ldl # dladdr(3): part of libc with glibc from 2.34 on, with musl, and on other systems
endif

NEEDED_CFLAGS := -std=c99 -fPIC -pthread -MMD -MP
COMPILE = $(CC) -Isrc -D_GNU_SOURCE $(1) $(CPPFLAGS) $(NEEDED_CFLAGS) $(WARNINGS) $(CFLAGS) $(2) -c -o $@ $<
LINK = $(CC) $(CFLAGS) -pthread $(1) $(LDFLAGS) -o $@ $(filter %.o,$^) $(2) $(LDLIBS)

# --- what is built ---------------------------------------------------------------------------------

DIR := $(BUILD)/$(VARIANT)$(LUA_NAME)
MODULE := $(DIR)/ssocket.so
LUA_MODULES := $(patsubst lua/%,%,$(wildcard lua/ssocket/*.lua lua/ssocket/*/*.lua))
LUA_FOLDERS := $(patsubst %/,%,$(sort $(dir $(LUA_MODULES))))
SOURCES := $(filter-out src/tls/% src/lua/lua_tls% src/os/os_file.c,$(wildcard src/*/*.c))
OBJECTS := $(SOURCES:src/%.c=$(DIR)/obj/%.o)

# TLS is a shared object of its own, so that ssocket.so needs libc alone. It has what it needs of the other objects in itself.
TLS_SOURCES := $(wildcard src/tls/*.c src/lua/lua_tls*.c) src/os/os_file.c
TLS_OBJECTS := $(TLS_SOURCES:src/%.c=$(DIR)/obj/%.o)
ifneq ($(filter %-m32 %-musl,$(LUA_NAME)),) # OpenSSL is there for the machine's kind alone
else ifneq ($(shell $(PKG_CONFIG) --exists 'openssl >= 1.1.1' 2>/dev/null && \
	! grep -qs LIBRESSL "$$($(PKG_CONFIG) --variable=includedir openssl)/openssl/opensslv.h" && echo yes),)
TLS_MODULE := $(DIR)/ssocket/tls.so
TLS_CPPFLAGS := $(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags openssl))
TLS_LDLIBS := $(shell $(PKG_CONFIG) --libs openssl)
ifdef ROOT_COPY
ROOT_COPY += ssocket/tls.so
endif
else
ALL_NOTES := without-tls
endif

# Helper modules of the specs, and programs that hold a Lua and are cruel to the module in it.
HELPERS := $(patsubst test/support/%.c,$(DIR)/%.so,$(wildcard test/support/*.c))
HOSTS := $(patsubst test/host/%.c,$(DIR)/host_%,$(wildcard test/host/*.c))

WRAP_host_oom := -Wl,--wrap=malloc,--wrap=free # counts what the module takes beside the state's memory, and refuses it

# Unit tests know no Lua. One program a test_*.c; the other files there are linked to each of them.
UNIT_DIR := $(BUILD)/unit
UNIT_SAN ?= $(SAN_FLAGS)
ifeq ($(shell uname -s),Linux)
UNIT_CPPFLAGS := -DSO_NOSIGPIPE=32766 # which other systems have: test_refused looks whether it is set
endif
UNIT_TESTS := $(patsubst test/unit/%.c,$(UNIT_DIR)/%,$(filter-out %/test_poller.c,$(wildcard test/unit/test_*.c)))
UNIT_SOURCES := $(wildcard src/core/*.c src/os/*.c src/run/*.c) \
	$(filter-out test/unit/test_% test/unit/tls_%,$(wildcard test/unit/*.c))
UNIT_OBJECTS := $(UNIT_SOURCES:%.c=$(UNIT_DIR)/obj/%.o)

# Those of TLS have src/tls and tls_*.c as well, and run on a descriptor of test/unit/tls_rig.c.
UNIT_TLS_TESTS := $(filter $(UNIT_DIR)/test_tls_%,$(UNIT_TESTS))
UNIT_TLS_SOURCES := $(wildcard src/tls/*.c test/unit/tls_*.c)
UNIT_TLS_OBJECTS := $(filter-out %/fake_os.o %/fake_poller.o,$(UNIT_OBJECTS)) $(UNIT_TLS_SOURCES:%.c=$(UNIT_DIR)/obj/%.o)
ifndef TLS_MODULE
UNIT_TESTS := $(filter-out $(UNIT_TLS_TESTS),$(UNIT_TESTS))
endif

# Calls that the linker sends to __wrap_... in these tests: the first runs on test/unit/fake_os.c.
FAKED_test_race := $(addprefix os_,answer_free ask close connect connected disconnect kernel_timeout lookup_drop lookup_start \
	lookup_take nonblock now_ns opt_set_raw peer poll socket)
FAKED_test_loop := $(addprefix os_,fork_mark_is_new now_ns poll poll_select poller_abandon poller_close poller_fd \
	poller_forget poller_open \
	poller_wait poller_wake poller_watch recv)
FAKED_test_sock := socket
FAKED_test_tls_clock := os_now_ns
FAKED_test_block := ss_wait_any
FAKED_test_file := read
FAKED_test_fork := madvise mmap munmap
FAKED_test_dgram := os_join_received os_recv_many os_send_many os_splits_sent
FAKED_test_lookup := eventfd fopen freeaddrinfo getaddrinfo getnameinfo malloc pthread_create
FAKED_test_accept := accept4
FAKED_test_refused := accept4 epoll_create1 epoll_pwait2 eventfd ioctl poll ppoll recv recvfrom recvmmsg recvmsg sendmmsg setsockopt \
	socket socketpair
FAKED_test_peer := connect
FAKED_test_transport := os_send

# The contract of the pollers is tested with each of them: on Linux that of kqueue on a stand-in for the system's.
FLAGS_epoll := -DSS_POLLER=1
FLAGS_kqueue := -DSS_POLLER=2
FLAGS_poll := -DSS_POLLER=3
POLLERS := kqueue poll
ifeq ($(shell uname -s),Linux)
POLLERS += epoll kqueue_pair
FLAGS_kqueue += -Itest/kqueue
FLAGS_kqueue_pair := $(FLAGS_kqueue) -DKQUEUE_WITHOUT_USER
KQUEUE := $(UNIT_DIR)/obj/test/kqueue/kqueue.o
FAKED_test_poller_kqueue := close
FAKED_test_poller_kqueue_pair := close
endif
POLLER_TESTS := $(POLLERS:%=$(UNIT_DIR)/test_poller_%)
UNIT_TESTS += $(POLLER_TESTS)
ifneq ($(shell uname -s),Linux)
UNIT_TESTS := $(filter-out %/test_refused,$(UNIT_TESTS))
endif

# Fuzz targets: with libFuzzer, and as unit tests that only replay what has been kept.
FUZZ_CC ?= clang
FUZZ_DIR := $(BUILD)/fuzz
FUZZ_SAN := -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all
FUZZ_NAMES := $(patsubst test/fuzz/fuzz_%.c,%,$(wildcard test/fuzz/fuzz_*.c))
FUZZ_SOURCES := test/fuzz/fail.c $(filter-out test/unit/check.c,$(UNIT_SOURCES))
FUZZ_TLS_NAMES := $(filter tls%,$(FUZZ_NAMES))
FUZZ_TLS_SOURCES := $(filter-out %/fake_os.c %/fake_poller.c,$(FUZZ_SOURCES)) test/fuzz/chance.c $(UNIT_TLS_SOURCES)
ifndef TLS_MODULE
FUZZ_NAMES := $(filter-out $(FUZZ_TLS_NAMES),$(FUZZ_NAMES))
FUZZ_TLS_NAMES :=
endif
FUZZERS := $(FUZZ_NAMES:%=$(FUZZ_DIR)/fuzz_%)
FUZZ_TLS := $(FUZZ_TLS_NAMES:%=$(FUZZ_DIR)/fuzz_%)
REPLAYS := $(FUZZ_NAMES:%=$(UNIT_DIR)/replay_%)
REPLAYS_TLS := $(FUZZ_TLS_NAMES:%=$(UNIT_DIR)/replay_%)
UNIT_TESTS += $(REPLAYS)

all: $(MODULE) $(TLS_MODULE) $(ROOT_COPY) $(ALL_NOTES) ## build the module
helpers: $(HELPERS)
unit-programs: $(UNIT_TESTS)
hosts: $(HOSTS) # build the host programs of the specs

$(MODULE): $(OBJECTS) src/exports.map
	$(call LINK,$(MODULE_LDFLAGS) $(EXPORT_LDFLAGS) $(SAN),$(LDLIBS_DL))
$(DIR)/obj/%.o: src/%.c Makefile | need-lua
	@mkdir -p $(@D)
	$(call COMPILE,$(LUA_CPPFLAGS) $(TLS_CPPFLAGS),$(SAN))
ssocket.so: $(MODULE)
	$(INSTALL) -m 755 $< $@

$(DIR)/ssocket/tls.so: $(TLS_OBJECTS) $(DIR)/ssocket.a src/tls/exports.map
	@mkdir -p $(@D)
	$(call LINK,$(MODULE_LDFLAGS) $(TLS_EXPORT_LDFLAGS) $(SAN),$(DIR)/ssocket.a $(TLS_LDLIBS) $(LDLIBS_DL))
$(DIR)/ssocket.a: $(OBJECTS)
	@rm -f $@
	$(AR) rcs $@ $^
ssocket/tls.so: $(TLS_MODULE)
	@mkdir -p $(@D)
	$(INSTALL) -m 755 $< $@
without-tls:
	@echo 'make: ssocket.tls is left out, since OpenSSL 1.1.1 or newer was not found (Debian: libssl-dev)'

$(HELPERS): $(DIR)/%.so: $(DIR)/obj/support/%.o
	$(call LINK,$(MODULE_LDFLAGS) $(HELPER_LDFLAGS) $(SAN))
$(DIR)/host_oom: $(OBJECTS)
$(DIR)/host_layers: $(OBJECTS) $(DIR)/obj/unit/layer.o
$(HOSTS): $(DIR)/host_%: $(DIR)/obj/host/%.o
	$(call LINK,$(HOST_LDFLAGS) $(WRAP_$(@F)) $(SAN),$(LUA_LDLIBS) -lm $(LDLIBS_DL))
$(DIR)/obj/support/%.o: test/support/%.c Makefile | need-lua
	@mkdir -p $(@D)
	$(call COMPILE,$(LUA_CPPFLAGS),$(SAN))
$(DIR)/obj/host/%.o: test/host/%.c Makefile | need-lua
	@mkdir -p $(@D)
	$(call COMPILE,$(LUA_CPPFLAGS),$(SAN))

$(DIR)/obj/unit/%.o: test/unit/%.c Makefile | need-lua
	@mkdir -p $(@D)
	$(call COMPILE,,$(SAN))

comma := ,

# Linux alone; to be preloaded (test/weather/weather.h). Preloaded where no Lua is, it must load all the same.
weather: $(DIR)/badweather.so
$(DIR)/badweather.so: $(DIR)/obj/weather/weather.o $(DIR)/obj/weather/calls.o
	$(call LINK,$(MODULE_LDFLAGS) -Wl$(comma)-z$(comma)lazy,$(LDLIBS_DL) -lrt)
$(DIR)/obj/weather/%.o: test/weather/%.c Makefile | need-lua
	@mkdir -p $(@D)
	$(call COMPILE,$(LUA_CPPFLAGS))

LINK_UNIT = $(call LINK,$(UNIT_SAN) $(patsubst %,-Wl$(comma)--wrap=%,$(FAKED_$(@F)) $(FAKED_TLS)),$(UNIT_LDLIBS) $(LDLIBS_DL))
$(filter-out $(POLLER_TESTS) $(REPLAYS) $(UNIT_TLS_TESTS),$(UNIT_TESTS)): $(UNIT_DIR)/%: $(UNIT_DIR)/obj/test/unit/%.o $(UNIT_OBJECTS)
	$(LINK_UNIT)
$(UNIT_TLS_TESTS): UNIT_LDLIBS := $(TLS_LDLIBS)
$(UNIT_TLS_TESTS): FAKED_TLS := os_recv os_send
$(UNIT_TLS_TESTS): $(UNIT_DIR)/%: $(UNIT_DIR)/obj/test/unit/%.o $(UNIT_TLS_OBJECTS)
	$(LINK_UNIT)
$(UNIT_DIR)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,-Itest/unit $(UNIT_CPPFLAGS) $(TLS_CPPFLAGS),$(UNIT_SAN))

# These have that poller in the place of the one that the module would have here.
$(POLLER_TESTS): $(UNIT_DIR)/test_poller_%: $(UNIT_DIR)/obj/poller/%/test.o $(UNIT_DIR)/obj/poller/%/os.o \
		$(filter-out $(UNIT_DIR)/obj/src/os/os_poller_%,$(UNIT_OBJECTS))
	$(LINK_UNIT)
$(UNIT_DIR)/test_poller_kqueue $(UNIT_DIR)/test_poller_kqueue_pair: $(KQUEUE)
$(UNIT_DIR)/obj/poller/%/test.o: test/unit/test_poller.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,-Itest/unit $(FLAGS_$*),$(UNIT_SAN))
$(UNIT_DIR)/obj/poller/%/os.o: src/os/os_poller_%.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,$(FLAGS_$*),$(UNIT_SAN))
$(UNIT_DIR)/obj/poller/%_pair/os.o: src/os/os_poller_%.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,$(FLAGS_$*_pair),$(UNIT_SAN))

# The checks of a fuzz target end the program.
$(filter-out $(REPLAYS_TLS),$(REPLAYS)): $(UNIT_DIR)/replay_%: $(UNIT_DIR)/obj/test/fuzz/fuzz_%.o $(UNIT_DIR)/obj/replay/%.o \
		$(FUZZ_SOURCES:%.c=$(UNIT_DIR)/obj/%.o)
	$(LINK_UNIT)
$(REPLAYS_TLS) $(UNIT_DIR)/tls_seeds: UNIT_LDLIBS := $(TLS_LDLIBS)
$(REPLAYS_TLS) $(UNIT_DIR)/tls_seeds: FAKED_TLS := os_recv os_send
$(REPLAYS_TLS): $(UNIT_DIR)/replay_%: $(UNIT_DIR)/obj/test/fuzz/fuzz_%.o $(UNIT_DIR)/obj/replay/%.o \
		$(FUZZ_TLS_SOURCES:%.c=$(UNIT_DIR)/obj/%.o)
	$(LINK_UNIT)
$(UNIT_DIR)/tls_seeds: $(UNIT_DIR)/obj/test/fuzz/seeds.o $(FUZZ_TLS_SOURCES:%.c=$(UNIT_DIR)/obj/%.o)
	$(LINK_UNIT)
tls-seeds: $(UNIT_DIR)/tls_seeds # writes the first inputs of the fuzz targets of TLS anew
	@$< test/fuzz/corpus
$(FUZZ_NAMES:%=$(UNIT_DIR)/obj/replay/%.o): $(UNIT_DIR)/obj/replay/%.o: test/fuzz/replay.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,-Itest/unit -DFUZZ_CORPUS='"test/fuzz/corpus/$*"',$(UNIT_SAN))
$(UNIT_DIR)/obj/test/fuzz/%.o: test/fuzz/%.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,-Itest/unit $(TLS_CPPFLAGS),$(UNIT_SAN))

$(FUZZERS): override CC = $(FUZZ_CC)
$(filter-out $(FUZZ_TLS),$(FUZZERS)): $(FUZZ_DIR)/%: $(FUZZ_DIR)/obj/test/fuzz/%.o $(FUZZ_SOURCES:%.c=$(FUZZ_DIR)/obj/%.o)
	$(call LINK,$(FUZZ_SAN),$(LDLIBS_DL))
$(FUZZ_TLS): $(FUZZ_DIR)/%: $(FUZZ_DIR)/obj/test/fuzz/%.o $(FUZZ_TLS_SOURCES:%.c=$(FUZZ_DIR)/obj/%.o)
	$(call LINK,$(FUZZ_SAN) -Wl$(comma)--wrap=os_recv -Wl$(comma)--wrap=os_send,$(TLS_LDLIBS) $(LDLIBS_DL))
$(FUZZ_DIR)/obj/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call COMPILE,-Itest/unit $(TLS_CPPFLAGS),$(FUZZ_SAN))

need-lua:
	@[ '$(LUA_PKG)' != none ] || { echo 'make: no Lua with headers here (LUA=$(LUA)); script/setup demo installs one'; exit 1; } >&2

-include $(wildcard $(DIR)/obj/*/*.d $(UNIT_DIR)/obj/*/*/*.d $(UNIT_DIR)/obj/replay/*.d $(FUZZ_DIR)/obj/*/*/*.d)
.SECONDARY: # objects are kept

# --- install ---------------------------------------------------------------------------------------

install: $(MODULE) $(TLS_MODULE) ## install it where that Lua looks; PREFIX, DESTDIR, LUA_CMOD and LUA_LMOD as usual
	$(INSTALL) -d '$(DESTDIR)$(LUA_CMOD)'
	$(INSTALL) -m 755 $(MODULE) '$(DESTDIR)$(LUA_CMOD)/ssocket.so'
ifdef TLS_MODULE
	$(INSTALL) -d '$(DESTDIR)$(LUA_CMOD)/ssocket'
	$(INSTALL) -m 755 $(TLS_MODULE) '$(DESTDIR)$(LUA_CMOD)/ssocket/tls.so'
endif
	for folder in $(LUA_FOLDERS); do \
	    $(INSTALL) -d "$(DESTDIR)$(LUA_LMOD)/$$folder" && \
	    $(INSTALL) -m 644 "lua/$$folder"/*.lua "$(DESTDIR)$(LUA_LMOD)/$$folder" || exit 1; \
	done

uninstall: # remove what install laid there
	rm -f '$(DESTDIR)$(LUA_CMOD)/ssocket.so' '$(DESTDIR)$(LUA_CMOD)/ssocket/tls.so' $(LUA_MODULES:%='$(DESTDIR)$(LUA_LMOD)/%')
	rmdir $(patsubst %,'$(DESTDIR)$(LUA_LMOD)/%',$(filter-out ssocket,$(LUA_FOLDERS))) 2>/dev/null || :
	rmdir '$(DESTDIR)$(LUA_CMOD)/ssocket' '$(DESTDIR)$(LUA_LMOD)/ssocket' 2>/dev/null || : # gone already, or somebody else has a file in it

# --- tests -----------------------------------------------------------------------------------------

# These two may install packages (script/setup) and thereby change which Lua there is, hence the second make.
check: ## install what is missing, then all tests on every Lua installed
	@MAKE="$(MAKE)" script/check
demo: ## install what is missing, then show the module at work; TO=host:port or TO=https://host/path fetches a page from there
	@script/setup demo
	@$(MAKE) -s run-demo
test: check

run-demo: all
	@LUA_CPATH='$(CURDIR)/$(DIR)/?.so;;' $(LUA) examples/demo.lua $(if $(TO),'$(TO)')
unit: $(UNIT_TESTS) ## C tests of the layers below Lua
	@script/unit $(UNIT_TESTS)
spec: $(MODULE) $(TLS_MODULE) $(HELPERS) $(HOSTS) ## specs under one Lua: LUA=lua5.3 SPECS='spec/udp_spec.lua' WORLD=task (tls, tls-task) SANITIZE=1
	@SSOCKET_WORLD=$(WORLD) script/spec $(LUA) $(DIR) $(SPECS)
fuzzers: $(FUZZERS)
soak: $(MODULE) # ten minutes among hostile clients; SHORT=1 one
	@script/soak $(LUA) $(DIR)
long-run: $(MODULE) $(TLS_MODULE) $(HELPERS) $(HOSTS) # ten million messages, a million connections; SHORT=1 a hundredth
	@script/long-run $(LUA) $(DIR)
torture: ## all that docs/reliability.md tells of, in an hour; SHORT=1 a minute of each
	@script/torture
bench: # measure, and write docs/benchmarks.md; ONLY=lines,read ROUNDS=3 for a quick look
	@bench/run
bench-counts: # count system calls and instructions, which depend on no machine
	@bench/run counts

# --- keeping it tidy -------------------------------------------------------------------------------

C_FILES := $(wildcard src/*/*.[ch] test/*/*.[ch] test/*/*/*.[ch] bench/c/*.[ch] .ci/*.c)
LUA_DIRS := $(wildcard lua spec examples docs types script bench test/fuzz)
SH_FILES = .ci/run demo check $(shell grep -lE '^\#!.*[/ ](ba)?sh' script/* bench/* examples/* 2>/dev/null)

lint: lint-layers lint-sources lint-docs lint-format lint-lua lint-sh ## layers, generated files, format, luacheck, shellcheck
lint-layers:
	@script/check-layers
lint-sources:
	@script/check-sources
lint-docs:
	@$(LUA) script/gen-docs.lua --check
lint-format:
	@clang-format --dry-run -Werror $(C_FILES)
lint-lua:
	@luacheck --quiet --no-color $(LUA_DIRS) $(wildcard *.rockspec)
lint-sh:
	@shellcheck -x $(SH_FILES)
docs: ## write docs/reference.md, types/ and the table in README.md from docs/api.lua
	$(LUA) script/gen-docs.lua
format: ## lay out the C files
	clang-format -i $(C_FILES)
clean: # remove what was built
	rm -rf $(BUILD) ssocket.so ssocket/tls.so
	@rmdir ssocket 2>/dev/null || :
help:
	@sed -n 's/^\([a-z]*\):[^#]*## /make \1|/p' Makefile | awk -F'|' '{ printf "  %-14s %s\n", $$1, $$2 }'
	@echo '  More, and the scripts: CONTRIBUTING.md. All that CI does: .ci/run'

.PHONY: all without-tls helpers hosts weather fuzzers unit-programs need-lua install uninstall check test demo run-demo unit spec \
	soak long-run torture tls-seeds bench bench-counts lint lint-layers lint-sources lint-docs lint-format lint-lua lint-sh docs format clean help
