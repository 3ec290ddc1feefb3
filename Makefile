# SPDX-License-Identifier: Apache-2.0
#
# Builds libdoor, the application runtime, the httpd module and the samples
# into $(BUILD).  `make demo` and `make check` need nothing run before them.
# On illumos the doors are the system's own: libdoor is not built there.

VERSION    := 0.2.0
SOVERSION  := 1
# What the manual pages say.
RELEASED   := November 28, 2026

BUILD      ?= build
PREFIX     ?= /usr/local
BINDIR     ?= $(PREFIX)/bin
SBINDIR    ?= $(PREFIX)/sbin
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man
DESTDIR    ?=

APXS       ?= apxs
PKG_CONFIG ?= pkg-config
# Runs tests: $(PROVE) [OPTIONS] -- FILES.  TRIES=1: what fails is not run once more.
PROVE       = BUILD='$(BUILD)' bash scripts/prove.sh
# C tests at a time: most of them wait more than they compute.
C_JOBS     ?= 2
# Seconds that a C test has, unless it says so itself: libcheck's four are too few under valgrind.
export CK_DEFAULT_TIMEOUT ?= 60
INSTALL    ?= install
NM         ?= nm
OBJCOPY    ?= objcopy
PORT       ?= 8080
ADDRESS    ?= 127.0.0.1
MPMS       ?= event worker prefork

CFLAGS     ?= -O2 -g
CXXFLAGS   ?= $(CFLAGS)
WARNINGS   := -Wall -Wextra
WERROR     ?=
# What the code needs whatever the user's CFLAGS are.
BASE       := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -fPIC -pthread $(WARNINGS)

UNAME      := $(shell uname -s)
comma      := ,

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:
.SUFFIXES:

# ---------------------------------------------------------------- sources

OBJ         := $(BUILD)/obj
objs         = $(patsubst %,$(OBJ)/%.o,$(basename $(1)))

APP_SRC     := $(sort $(wildcard door_app/*.c))
MODULE_SRC  := $(wildcard mod_door.c) $(sort $(wildcard module/*.c supervisor/*.c))
EXAMPLE_SRC := $(sort $(wildcard door_app/examples/*.c))
# The guest book needs libraries that nothing else here does.
GUESTBOOK_PC := libpq jansson
ifeq ($(shell $(PKG_CONFIG) --exists $(GUESTBOOK_PC) 2>/dev/null && echo yes),)
EXAMPLE_SRC := $(filter-out %/guestbook.c,$(EXAMPLE_SRC))
endif
ifeq ($(shell $(PKG_CONFIG) --exists libpq 2>/dev/null && echo yes),)
EXAMPLE_SRC := $(filter-out %/guard_db.c,$(EXAMPLE_SRC))
endif

ifeq ($(UNAME),SunOS)
DOOR_SRC    :=
COMPAT_SRC  := $(sort $(wildcard compat/*.c))
DOOR_CPP    :=
LIBDOOR     :=
SYSTEM_LIBS := -ldoor
exports      = -Wl,-M,$(1)
else
DOOR_SRC    := $(sort $(wildcard libdoor/src/*.c))
COMPAT_SRC  :=
DOOR_CPP    := -Ilibdoor/include
LIBDOOR     := $(BUILD)/libdoor.so
SYSTEM_LIBS :=
exports      = -Wl,--version-script=$(1)
endif

DOOR_OBJ    := $(call objs,$(DOOR_SRC))
APP_OBJ     := $(call objs,$(APP_SRC) $(COMPAT_SRC))
MODULE_OBJ  := $(call objs,$(MODULE_SRC) $(COMPAT_SRC) door_app/wire.c) $(OBJ)/module/status_html.o
# Interposing open() is for programs; loaded into httpd it would be a surprise.
MODULE_DOOR := $(filter-out %/interpose.o,$(DOOR_OBJ))
EXAMPLES    := $(patsubst door_app/examples/%.c,$(BUILD)/examples/%,$(EXAMPLE_SRC))

# Programs for DoorApp that have other programs answer; each is made of these.
GATEWAY_DIR := door_app/gateways
CGI_SRC     := $(addprefix $(GATEWAY_DIR)/,door_cgi.c cgi_program.c cgi_relay.c cgi_response.c)
FCGI_SRC    := $(addprefix $(GATEWAY_DIR)/,cgi_response.c fcgi_ask.c fcgi_exchange.c fcgi_pool.c \
	fcgi_protocol.c fcgi_role.c keeper.c)
GATEWAYS    := $(addprefix $(BUILD)/gateways/,door_cgi door_fcgi)

# FastCGI programs are linked with this, and find our headers in place of libfcgi's.
FCGI_DIR    := door_app/fcgi
FCGI_HEADERS := $(addprefix $(FCGI_DIR)/,fastcgi.h fcgi_stdio.h fcgiapp.h fcgio.h)
FCGI_OBJ    := $(call objs,$(sort $(wildcard $(FCGI_DIR)/*.c)) \
	$(addprefix $(GATEWAY_DIR)/,cgi_response.c fcgi_role.c))
FCGI_MAP    := $(FCGI_DIR)/libdoor_fcgi.map
FCGI_ALL    := $(addprefix $(BUILD)/,libdoor_fcgi.so.$(SOVERSION) libdoor_fcgi.so libdoor_fcgi.a)

DOOR_MAP    := $(wildcard libdoor/libdoor.map)
APP_MAP     := $(wildcard door_app/libdoor_app.map)
MODULE_MAP  := module/mod_door.map

LIBDOOR_ALL := $(if $(DOOR_SRC),$(addprefix $(BUILD)/,libdoor.so.$(SOVERSION) libdoor.so libdoor.a))
APP_ALL     := $(addprefix $(BUILD)/,libdoor_app.so.$(SOVERSION) libdoor_app.so libdoor_app.a)

.PHONY: all installed libdoor door_app module examples gateways fcgi tools tests

all: installed examples
# What `make install` puts in place.
installed: libdoor door_app module gateways fcgi tools man manual
libdoor: $(LIBDOOR_ALL)
door_app: $(APP_ALL)
module: $(BUILD)/mod_door.so
examples: $(EXAMPLES)
gateways: $(GATEWAYS)
fcgi: $(FCGI_ALL)
tools: $(BUILD)/door-call $(BUILD)/doorctl

# ---------------------------------------------------------------- compiling

# Asked only when the module is compiled, so that `make deps` can run first.
HTTPD_CPP = $(eval HTTPD_CPP := $$(shell $(APXS) -q EXTRA_CPPFLAGS) \
	-I$$(shell $(APXS) -q INCLUDEDIR) \
	$$(shell $$$$($(APXS) -q APR_CONFIG) --cppflags --includes) \
	$$(shell $$$$($(APXS) -q APU_CONFIG) --includes))$(HTTPD_CPP)
# As system headers: clang warns of what APR's ring macros do.
HTTPD_SYSTEM = $(patsubst -I%,-isystem %,$(filter-out -I/usr/include,$(HTTPD_CPP)))

# What the public headers declare is visible outside libdoor, and nothing else.
DOOR_EXPORT := -fvisibility=hidden -include libdoor/src/exported.h

$(OBJ)/libdoor/src/%.o:      LOCAL := $(DOOR_EXPORT) -Ilibdoor/include -Icompat
$(OBJ)/door_app/%.o:         LOCAL := $(DOOR_CPP) -Icompat
$(OBJ)/compat/%.o:           LOCAL := $(DOOR_CPP) -Icompat
$(OBJ)/door_app/examples/%.o: LOCAL := $(DOOR_CPP) -Idoor_app
$(OBJ)/$(GATEWAY_DIR)/%.o $(OBJ)/$(FCGI_DIR)/%.o: LOCAL := -Idoor_app
$(OBJ)/door_app/tools/%.o:   LOCAL := $(DOOR_CPP) -Icompat -Idoor_app
$(OBJ)/door_app/examples/guestbook.o: \
	LOCAL = $(DOOR_CPP) -Idoor_app $(shell $(PKG_CONFIG) --cflags $(GUESTBOOK_PC))
$(OBJ)/door_app/examples/guard_db.o: \
	LOCAL = $(DOOR_CPP) -Idoor_app $(shell $(PKG_CONFIG) --cflags libpq)
$(OBJ)/mod_door.o $(OBJ)/module/%.o: \
	LOCAL = -fvisibility=hidden $(DOOR_CPP) -Icompat -Idoor_app -Imodule -Isupervisor $(HTTPD_SYSTEM)
$(OBJ)/supervisor/%.o: LOCAL := -fvisibility=hidden $(DOOR_CPP) -Icompat
$(OBJ)/supervisor/tools/%.o: LOCAL = $(DOOR_CPP) -Icompat -Isupervisor \
	-DDOOR_RUNTIME_DIR='"$(shell $(APXS) -q RUNTIMEDIR)"'

COMPILE = $(CC) $(BASE) $(WERROR) $(LOCAL) $(CPPFLAGS) $(CFLAGS) -MMD -MP

$(OBJ)/%.o: %.c $(BUILD)/flags
	@mkdir -p $(@D)
	$(COMPILE) -c -o $@ $<

# Only tests, to see that the headers suit C++.
$(OBJ)/%.o: %.cc $(BUILD)/flags
	@mkdir -p $(@D)
	$(CXX) -std=gnu++17 $(filter-out -std=%,$(BASE)) $(WERROR) $(LOCAL) $(CPPFLAGS) $(CXXFLAGS) \
		-MMD -MP -c -o $@ $<

# Changes when the compiler or the flags do, and then everything is rebuilt.
FLAGS := $(CC) $(CXX) $(BASE) $(DOOR_EXPORT) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS)
.PHONY: FORCE
$(BUILD)/flags: FORCE
	@mkdir -p $(@D)
	@echo '$(FLAGS)' | cmp -s - $@ || echo '$(FLAGS)' >$@

# The same for the httpd that the module is built for, and for the version that it names.
$(BUILD)/httpd: ASKED = $(APXS) $(shell command -v '$(APXS)')
$(BUILD)/version: ASKED = $(VERSION)
$(BUILD)/httpd $(BUILD)/version: FORCE
	@mkdir -p $(@D)
	@echo '$(ASKED)' | cmp -s - $@ || echo '$(ASKED)' >$@
$(OBJ)/mod_door.o $(patsubst %.c,$(OBJ)/%.o,$(wildcard module/*.c)): $(BUILD)/httpd

-include $(shell test ! -d $(OBJ) || find $(OBJ) -name '*.d')

# ---------------------------------------------------------------- linking

LINK   = $(CC) $(BASE) $(CFLAGS) $(LDFLAGS)
# clang leaves its sanitizers' symbols to the program.
SHARED = $(LINK) -shared -Wl,-h,$(@F) $(if $(findstring -fsanitize,$(CFLAGS)),,-Wl$(comma)-z$(comma)defs)

# Server threads may still be inside when a program would unload it: nodelete.
$(BUILD)/libdoor.so.$(SOVERSION): $(DOOR_OBJ) $(DOOR_MAP)
	$(SHARED) -Wl,-z,nodelete $(if $(DOOR_MAP),$(call exports,$(DOOR_MAP))) -o $@ $(DOOR_OBJ)

$(BUILD)/libdoor_app.so.$(SOVERSION): $(APP_OBJ) $(LIBDOOR) $(APP_MAP)
	$(SHARED) -Wl,-z,nodelete $(if $(APP_MAP),$(call exports,$(APP_MAP))) \
		-Wl,-rpath,'$$ORIGIN' -o $@ $(APP_OBJ) $(LIBDOOR) $(SYSTEM_LIBS)

$(BUILD)/libdoor_fcgi.so.$(SOVERSION): $(FCGI_OBJ) $(BUILD)/libdoor_app.so $(LIBDOOR) $(FCGI_MAP)
	$(SHARED) $(call exports,$(FCGI_MAP)) -Wl,-rpath,'$$ORIGIN' -o $@ $(FCGI_OBJ) \
		$(BUILD)/libdoor_app.so $(LIBDOOR) $(SYSTEM_LIBS)

%.so: %.so.$(SOVERSION)
	ln -sf $(<F) $@

# An archive shows what its shared library does: one object, whose other names are local.
$(BUILD)/libdoor.a: $(DOOR_OBJ)
$(BUILD)/libdoor_app.a: $(APP_OBJ)
$(BUILD)/libdoor_fcgi.a: $(FCGI_OBJ)
$(BUILD)/%.a: $(BUILD)/%.so.$(SOVERSION)
	rm -f $@
ifeq ($(UNAME),SunOS)
	$(AR) rcs $@ $(filter %.o,$^)
else
	$(NM) -D --defined-only $< | sed -n 's/.* [B-Zu] \([^@ ]*\).*/\1/p' >$(OBJ)/$*.names
	$(CC) $(filter -m%,$(CFLAGS)) -nostdlib -r -o $(OBJ)/$*.o $(filter %.o,$^)
	$(OBJCOPY) --keep-global-symbols=$(OBJ)/$*.names $(OBJ)/$*.o
	$(AR) rcs $@ $(OBJ)/$*.o
endif

# Tells one build of the module from another: the version, and a checksum of what is inside.
MODULE_ALL := $(MODULE_OBJ) $(MODULE_DOOR)
$(OBJ)/module/build.c: $(MODULE_ALL) $(BUILD)/version
	@sum=$$(cat $(MODULE_ALL) | cksum) && \
		echo "const char mod_door_build[] = \"$(VERSION)-$${sum%% *}\";" >$@

# The page for people, as a string.
$(OBJ)/module/status_html.c: module/status_page.html
	@mkdir -p $(@D)
	@{ echo 'extern const char mod_door_status_html[];'; echo 'const char mod_door_status_html[] ='; \
		sed 's/[\\"]/\\&/g; s/.*/"&\\n"/' $<; echo ';'; } >$@
$(OBJ)/module/status_html.o: $(OBJ)/module/status_html.c $(BUILD)/flags
	$(COMPILE) -c -o $@ $<

# One file to load: libdoor and the wire code are inside, nothing of them shows, and nothing
# binds to another build of it.  httpd's parent unloads it at each restart.
$(BUILD)/mod_door.so: $(MODULE_ALL) $(OBJ)/module/build.c $(MODULE_MAP)
	$(LINK) -shared -Wl,-Bsymbolic $(call exports,$(MODULE_MAP)) -o $@ \
		$(MODULE_ALL) $(OBJ)/module/build.c $(SYSTEM_LIBS)

# The same as if it were another build, for the test of an upgrade.
$(BUILD)/t/mod_door.so: $(BUILD)/mod_door.so
	@mkdir -p $(@D)
	echo 'const char mod_door_build[] = "another";' | $(LINK) -shared -Wl,-Bsymbolic \
		$(call exports,$(MODULE_MAP)) -o $@ $(MODULE_ALL) $(SYSTEM_LIBS) -x c -

# The samples find the libraries beside them: they run from the build folder.
$(BUILD)/examples/%: $(OBJ)/door_app/examples/%.o $(BUILD)/libdoor_app.so $(LIBDOOR)
	@mkdir -p $(@D)
	$(LINK) -Wl,-rpath,'$$ORIGIN/..' -o $@ $< $(BUILD)/libdoor_app.so $(LIBDOOR) $(SYSTEM_LIBS) \
		$(EXAMPLE_LIBS)

# Installed in a folder below the libraries, which they find as they do here.
$(BUILD)/gateways/door_cgi: $(call objs,$(CGI_SRC))
$(BUILD)/gateways/door_fcgi: $(call objs,$(GATEWAY_DIR)/door_fcgi.c $(FCGI_SRC))
$(GATEWAYS): $(BUILD)/libdoor_app.so $(LIBDOOR)
	@mkdir -p $(@D)
	$(LINK) -Wl,-rpath,'$$ORIGIN/..' -o $@ $(filter %.o,$^) $(BUILD)/libdoor_app.so $(LIBDOOR) \
		$(SYSTEM_LIBS)

$(BUILD)/examples/kitchen: EXAMPLE_LIBS := -lcrypto
$(BUILD)/examples/guard: EXAMPLE_LIBS := -lcrypt
$(BUILD)/examples/guard_db: EXAMPLE_LIBS = $(shell $(PKG_CONFIG) --libs libpq) -lcrypt
$(BUILD)/examples/guestbook: EXAMPLE_LIBS = $(shell $(PKG_CONFIG) --libs $(GUESTBOOK_PC))

# A tool has what it needs inside.
$(BUILD)/door-call: $(OBJ)/door_app/tools/door-call.o $(OBJ)/door_app/wire.o $(DOOR_OBJ) \
		$(call objs,$(COMPAT_SRC))
	$(LINK) -o $@ $^ $(SYSTEM_LIBS)

$(BUILD)/doorctl: $(call objs,$(wildcard supervisor/tools/*.c)) $(DOOR_OBJ) $(call objs,$(COMPAT_SRC))
	$(LINK) -o $@ $^ $(SYSTEM_LIBS)

# ---------------------------------------------------------------- C tests
#
# In libdoor/t, door_app/t, module/t, supervisor/t and door_app/gateways/t a test_*.c or .cc is a program that prints
# TAP, fuzz_*.c a fuzz target that here replays its corpus, aux_*.c a program that tests run,
# and any other *.c is linked into each of its neighbours.

TEST_DIRS := $(if $(DOOR_SRC),libdoor/t) door_app/t module/t supervisor/t $(GATEWAY_DIR)/t
# These need httpd's headers and APR, which are here for this machine's architecture only.
HTTPD_TESTS := module/t/test_received.c
TEST_SRC  := $(filter-out $(if $(FOREIGN),$(HTTPD_TESTS)),\
	$(sort $(wildcard $(TEST_DIRS:%=%/test_*.c) $(TEST_DIRS:%=%/test_*.cc))))
FUZZ_SRC  := $(sort $(wildcard $(TEST_DIRS:%=%/fuzz_*.c)))
AUX_SRC   := $(sort $(wildcard $(TEST_DIRS:%=%/aux_*.c)))
REPLAY    := libdoor/t/replay.c # goes through the corpus of any fuzz target
RUN_SUITE := libdoor/t/door_test_run.c
MORE_SRC  := $(filter-out $(TEST_SRC) $(HTTPD_TESTS) $(FUZZ_SRC) $(AUX_SRC),$(wildcard $(TEST_DIRS:%=%/*.c)))

t_bin      = $(addprefix $(BUILD)/t/,$(basename $(notdir $(1))))
TESTS     := $(call t_bin,$(TEST_SRC))
FUZZERS   := $(call t_bin,$(FUZZ_SRC))
T_APPS    := $(patsubst t/apps/%.c,$(BUILD)/t/apps/%,$(wildcard t/apps/*.c))
# FastCGI programs of one source, with our library and with libfcgi where that is.
HAVE_FCGI := $(wildcard /usr/include/fcgiapp.h)
T_FCGI    := $(foreach lib,door_fcgi $(if $(HAVE_FCGI),fcgi),\
	$(addprefix $(BUILD)/t/$(lib)/,$(basename $(notdir $(wildcard t/fcgi/*.c t/fcgi/*.cc)))))
STATIC    := $(OBJ)/libdoor_app.a $(if $(DOOR_SRC),$(OBJ)/libdoor.a)

.PHONY: t-apps
t-apps: $(T_APPS) $(T_FCGI)
tests: $(TESTS) $(FUZZERS) $(call t_bin,$(AUX_SRC)) t-apps $(BUILD)/t/mod_door.so

CHECK_CPP  = $(eval CHECK_CPP := $$(shell $(PKG_CONFIG) --cflags check))$(CHECK_CPP)
CHECK_LIBS = $(eval CHECK_LIBS := $$(shell $(PKG_CONFIG) --libs check))$(CHECK_LIBS)

# Linked with archives of all objects, so that tests reach what the libraries do not export,
# and with our open(2) where a sanitizer's runtime would have it from libc.
$(OBJ)/libdoor.a: $(DOOR_OBJ)
$(OBJ)/libdoor_app.a: $(APP_OBJ)
$(OBJ)/%.a:
	rm -f $@
	$(AR) rcs $@ $^

$(OBJ)/libdoor/t/%.o:  LOCAL = $(DOOR_CPP) -Ilibdoor/src -Icompat $(CHECK_CPP)
$(OBJ)/door_app/t/%.o: LOCAL = $(DOOR_CPP) -Icompat -Idoor_app -Ilibdoor/t $(CHECK_CPP)
$(OBJ)/supervisor/t/%.o: LOCAL = -Isupervisor -Ilibdoor/t $(CHECK_CPP)
$(OBJ)/module/t/%.o: LOCAL = -Imodule -Isupervisor -Ilibdoor/t $(CHECK_CPP)
$(call objs,$(HTTPD_TESTS)): \
	LOCAL = -Imodule -Isupervisor -Ilibdoor/t $(DOOR_CPP) -Icompat -Idoor_app $(HTTPD_SYSTEM) $(CHECK_CPP)
$(call t_bin,$(HTTPD_TESTS)): APR_LIBS = $(shell $$($(APXS) -q APR_CONFIG) --link-ld)
$(OBJ)/$(GATEWAY_DIR)/t/%.o: LOCAL = $(DOOR_CPP) -Icompat -I$(GATEWAY_DIR) -Idoor_app -Ilibdoor/t $(CHECK_CPP)
$(BUILD)/t/test_wait: LDFLAGS += -Wl,--wrap=door_handle_call
FUZZ_CPP  := -DFUZZ_REPLAY # `make fuzz` has libFuzzer's main() instead
FUZZ_LINK :=
$(OBJ)/libdoor/t/fuzz_%.o $(OBJ)/door_app/t/fuzz_%.o $(OBJ)/$(GATEWAY_DIR)/t/fuzz_%.o: CPPFLAGS += $(FUZZ_CPP)
$(FUZZERS): LDFLAGS += $(FUZZ_LINK)

define test_program
$(call t_bin,$(1)): $(call objs,$(sort $(1) $(filter $(dir $(1))%,$(MORE_SRC)) $(RUN_SUITE) \
		$(if $(filter fuzz_%,$(notdir $(1))),$(REPLAY)) \
		$(if $(filter supervisor/%,$(1)),supervisor/calls.c supervisor/board.c) \
		$(if $(filter module/%,$(1)),module/figures.c module/histogram.c supervisor/calls.c) \
		$(if $(filter %/test_received.c,$(1)),module/received.c) \
		$(if $(filter $(GATEWAY_DIR)/%,$(1)),$(FCGI_SRC) $(filter-out %/door_cgi.c,$(CGI_SRC))))) $(STATIC)
	@mkdir -p $$(@D)
	$$(LINK) -o $$@ $$(filter %.o,$$^) $(STATIC) $$(CHECK_LIBS) $$(APR_LIBS) $(SYSTEM_LIBS) \
		$(if $(DOOR_SRC),-Wl$(comma)-u$(comma)openat) $(if $(filter %.cc,$(1)),-lstdc++)
endef
$(foreach src,$(TEST_SRC) $(FUZZ_SRC) $(AUX_SRC),$(eval $(call test_program,$(src))))

# Applications of the module's suite: bare <door.h>, and the wire code to bend.
$(OBJ)/t/apps/%.o: LOCAL := $(DOOR_CPP) -Idoor_app
$(BUILD)/t/apps/%: $(OBJ)/t/apps/%.o $(OBJ)/door_app/wire.o $(LIBDOOR)
	@mkdir -p $(@D)
	$(LINK) -Wl,-rpath,'$$ORIGIN/../..' -o $@ $^ $(SYSTEM_LIBS)

T_FCGI_CXX = $(CXX) -std=gnu++17 $(filter-out -std=%,$(BASE)) $(WERROR) $(CXXFLAGS) $(LDFLAGS)
T_FCGI_OURS = -I$(FCGI_DIR) -Wl,-rpath,'$$ORIGIN/../..' -o $@ $< $(BUILD)/libdoor_fcgi.so \
	$(BUILD)/libdoor_app.so $(LIBDOOR) $(SYSTEM_LIBS)
$(filter $(BUILD)/t/door_fcgi/%,$(T_FCGI)): $(BUILD)/libdoor_fcgi.so $(BUILD)/libdoor_app.so \
	$(LIBDOOR) $(FCGI_HEADERS)
$(T_FCGI): $(BUILD)/flags
$(BUILD)/t/door_fcgi/%: t/fcgi/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(WERROR) $(CFLAGS) $(LDFLAGS) $(T_FCGI_OURS)
$(BUILD)/t/door_fcgi/%: t/fcgi/%.cc
	@mkdir -p $(@D)
	$(T_FCGI_CXX) $(T_FCGI_OURS)
$(BUILD)/t/fcgi/%: t/fcgi/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE) $(WERROR) $(CFLAGS) $(LDFLAGS) -o $@ $< -lfcgi
$(BUILD)/t/fcgi/%: t/fcgi/%.cc
	@mkdir -p $(@D)
	$(T_FCGI_CXX) -o $@ $< -lfcgi++ -lfcgi
# The same suite's FastCGI program: it knows nothing of doors.
$(BUILD)/t/apps/fcgi_%: $(OBJ)/t/apps/fcgi_%.o
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ -lfcgi

# ---------------------------------------------------------------- Python
#
# The package door_app: the extension module with both libraries beside it, in one wheel
# for CPython 3.9 and later.  python-dbg is the same for the interpreter that counts.

PYTHON       ?= /usr/bin/python3
PYTHON_DEBUG ?= /usr/bin/python3-dbg
PYTHON_FILES := $(wildcard python/*.py python/door_app/* python/src/*)
PYTHON_BUILD := $(BUILD)/python

# In a copy of python/, as setuptools writes beside its sources.
define python_stage
rm -rf $(1) && mkdir -p $(1) && cp -R python/setup.py python/src python/door_app $(1)
rm -rf $(1)/door_app/__pycache__
cp -L $(wildcard $(BUILD)/libdoor.so.$(SOVERSION)) $(BUILD)/libdoor_app.so.$(SOVERSION) $(1)/door_app
endef
PYTHON_ENV = DOOR_APP_VERSION='$(VERSION)' DOOR_APP_INCLUDE='$(abspath door_app)' WERROR='$(WERROR)'

.PHONY: python python-dbg
python: $(PYTHON_BUILD)/stamp
$(PYTHON_BUILD)/stamp: $(PYTHON_FILES) $(APP_ALL) $(LIBDOOR_ALL) door_app/door_app.h
	$(call python_stage,$(PYTHON_BUILD)/stage)
	rm -f $(PYTHON_BUILD)/*.whl
	cd $(PYTHON_BUILD)/stage && $(PYTHON_ENV) $(PYTHON) setup.py -q bdist_wheel --dist-dir ..
	touch $@

python-dbg: $(PYTHON_BUILD)/dbg/stamp
$(PYTHON_BUILD)/dbg/stamp: $(PYTHON_FILES) $(APP_ALL) $(LIBDOOR_ALL) door_app/door_app.h
	$(call python_stage,$(PYTHON_BUILD)/dbg)
	cd $(PYTHON_BUILD)/dbg && $(PYTHON_ENV) $(PYTHON_DEBUG) setup.py -q build_ext --inplace
	touch $@

# The sample, beside which the package lies: make demo runs it if the wheel can be built.
PYTHON_SAMPLE := $(BUILD)/examples/python/sample.py
.PHONY: python-sample
python-sample: $(PYTHON_SAMPLE)
$(PYTHON_SAMPLE): python/examples/sample.py $(PYTHON_BUILD)/stamp
	mkdir -p $(@D)
	cd $(@D) && $(PYTHON) -m zipfile -e $(abspath $(PYTHON_BUILD))/door_app-*.whl .
	cp $< $@

# ---------------------------------------------------------------- to run

.PHONY: deps deps-demo deps-check deps-analysis deps-deb demo check check-c check-tree check-python check-asan check-asan-apps \
	check-tsan check-valgrind fuzz mutants $(MPMS:%=check-%)

# All that `make check` needs, the demo's among it.
deps deps-check:
	@sh scripts/deps.sh check

# To build, and to see it run.
deps-demo:
	@sh scripts/deps.sh demo

# What check-asan, check-tsan, check-valgrind and fuzz need besides.
deps-analysis:
	@sh scripts/deps.sh analysis

demo: deps-demo
	@+$(MAKE) --no-print-directory all
	@+if $(PYTHON) -c 'import os, setuptools, sysconfig, wheel; \
			os.stat(sysconfig.get_path("include") + "/Python.h")' 2>/dev/null; then \
		$(MAKE) --no-print-directory python-sample; \
	fi
	@APXS='$(APXS)' ADDRESS='$(ADDRESS)' exec bash scripts/demo.sh '$(BUILD)' '$(PORT)'

# The groups run one after the other whatever -j says, as some measure time.  What shares a
# group does little but wait.
check: deps
	@+$(MAKE) --no-print-directory WERROR=-Werror all tests
	@rm -f '$(BUILD)/second_try'
	@+failed=; for group in c tree 'docs python' $(firstword $(MPMS)) \
			'$(wordlist 2,$(words $(MPMS)),$(MPMS))'; do \
		test -n "$$group" || continue; \
		echo "== check: $$group"; \
		$(MAKE) --no-print-directory -k -j2 --output-sync WERROR=-Werror \
			$$(printf ' check-%s' $$group) || failed="$$failed $$group"; \
	done; \
	if [ -n "$$failed" ]; then echo "make check: failed in$$failed" >&2; exit 1; fi; \
	if [ -s '$(BUILD)/second_try' ]; then \
		echo 'make check: passed only the second time:'; cat '$(BUILD)/second_try'; fi

check-c: tests
	$(PROVE) -j$(C_JOBS) -- $(TESTS) $(FUZZERS)

# Real applications, beside what else serves them.
.PHONY: check-heavy check-heavy-python
check-heavy: check-heavy-python
check-heavy-python: deps all python
	@sh scripts/deps.sh heavy-python
	BUILD='$(BUILD)' APXS='$(APXS)' PYTHONDONTWRITEBYTECODE=1 \
		$(PROVE) -e '$(PYTHON)' -- python/heavy/test_*.py

# Python's frameworks behind a door and under its peers: BUILD/bench/python.md.  QUICK=1 takes
# two minutes, otherwise it is about fifteen.  FILL=1 puts the result into bench/PYTHON.md.
.PHONY: bench-python
bench-python: deps all python
	@sh scripts/deps.sh heavy-python
	@BUILD='$(BUILD)' APXS='$(APXS)' PYTHONDONTWRITEBYTECODE=1 $(PYTHON) bench/python.py

check-python: all python python-dbg
	BUILD='$(BUILD)' APXS='$(APXS)' PYTHON_DEBUG='$(PYTHON_DEBUG)' PYTHONDONTWRITEBYTECODE=1 \
		$(PROVE) -e '$(PYTHON)' -- python/t/test_*.py

# The C tests again, in builds of their own below $(BUILD).  A report is a failure, also one
# of a child process whose end no test looks at.  What is not so is in libdoor/t/*.supp.
# The leak checker's notes of threads that it could not stop are no reports.
no_reports = if grep -qE 'SUMMARY|runtime error' $(1).* 2>/dev/null; then cat $(1).*; exit 1; fi
# The same after tests that failed, as the report may say why.
or_reports = || { cat $(1).* 2>/dev/null; exit 1; }
C_TESTS = $(TESTS) $(FUZZERS) $(call t_bin,$(AUX_SRC))
.PHONY: c-tests fuzzers
c-tests: $(C_TESTS)
fuzzers: $(FUZZERS)

# The runtimes of gcc 12 and of older clangs leave their locks held in forked children.
ANALYSIS_CC := clang-19
ANALYSIS_CXX := clang++-19
SYMBOLIZER = external_symbolizer_path=$(shell command -v llvm-symbolizer-19)
# Builds these targets with these flags, and runs the C tests; $(1) is the name of the build.
build_analysed = $(MAKE) --no-print-directory BUILD='$(BUILD)/$(1)' CC='$(ANALYSIS_CC)' \
	CXX='$(ANALYSIS_CXX)' CFLAGS='-O1 -g -fno-omit-frame-pointer $(2)' $(3)
run_analysed = $(PROVE) -j$(C_JOBS) -- \
	$(patsubst $(BUILD)/%,$(BUILD)/$(1)/%,$(TESTS) $(FUZZERS)) $(call or_reports,$(report))
report = $(abspath $(BUILD))/$(1)/report

ASAN_CFLAGS := -fsanitize=address$(comma)undefined -fno-sanitize-recover=undefined
check-asan: deps-analysis
	@+$(call build_analysed,asan,$(ASAN_CFLAGS),c-tests)
	@rm -f $(call report,asan).*
	export ASAN_OPTIONS='suppressions=libdoor/t/asan.supp log_path=$(call report,asan) $(SYMBOLIZER)' \
		UBSAN_OPTIONS='print_stacktrace=1 log_path=$(call report,asan) $(SYMBOLIZER)'; \
		$(call run_analysed,asan)
	@$(call no_reports,$(call report,asan))

# The suite on a real httpd, with applications that have been built so; without the tests
# in which httpd and the supervisor do the work.
ASAN_APP_TESTS = $(filter-out $(addprefix t/,apps_crash.t apps_doors.t apps_full.t apps_log.t \
	apps_messages.t apps_missing.t apps_replace.t apps_restart.t apps_settings.t doorctl.t limits.t \
	mapping.t restart.t status_page.t upgrade.t),$(sort $(wildcard t/*.t)))
check-asan-apps: deps-analysis all tests
	@+$(call build_analysed,asan,$(ASAN_CFLAGS),libdoor door_app examples gateways t-apps)
	@# The reports lie where the suite's user can get to.
	reports=$$(mktemp -d /tmp/mod_door-reports.XXXXXX) && trap 'rm -rf "$$reports"' EXIT && \
		chmod 1777 "$$reports" && APXS='$(APXS)' SUITE_APPS='$(BUILD)/asan' \
		ASAN_OPTIONS="quarantine_size_mb=1 log_path=$$reports/report" \
		UBSAN_OPTIONS="print_stacktrace=1 log_path=$$reports/report" \
		bash scripts/suite.sh '$(BUILD)' event $(or $(TEST_FILES),$(ASAN_APP_TESTS)) \
		$(call or_reports,$$reports/report); \
	$(call no_reports,$$reports/report)

TSAN_OPTIONS := suppressions=libdoor/t/tsan.supp die_after_fork=0 atexit_sleep_ms=0 \
	report_thread_leaks=0
# Python's extension and both libraries, loaded by an interpreter that is not built so.  That one
# leaves things behind at its end: python/t/test_references.py looks for leaks.
PYTHON_ASAN = env=LD_PRELOAD=$(shell $(ANALYSIS_CC) -print-file-name=libclang_rt.asan-x86_64.so) \
	env=ASAN_OPTIONS=detect_leaks=0:handle_segv=0:allocator_may_return_null=1:quarantine_size_mb=1:log_path=$$reports/report \
	env=UBSAN_OPTIONS=print_stacktrace=1:log_path=$$reports/report env=PYTHONMALLOC=malloc
.PHONY: check-asan-python
check-asan-python: deps-analysis all
	@+$(call build_analysed,asan-python,$(ASAN_CFLAGS) -shared-libasan,python)
	@# The reports lie where the tests' user can get to.
	reports=$$(mktemp -d /tmp/mod_door-reports.XXXXXX) && trap 'rm -rf "$$reports"' EXIT && \
		chmod 1777 "$$reports" && BUILD='$(BUILD)' WHEELS='$(BUILD)/asan-python/python' \
		APXS='$(APXS)' PYTHONDONTWRITEBYTECODE=1 APP_ENV="$(PYTHON_ASAN)" \
		$(PROVE) -e '$(PYTHON)' -- python/t/test_wsgi.py python/t/test_hostile.py \
		$(call or_reports,$$reports/report); \
	$(call no_reports,$$reports/report)

check-tsan: deps-analysis
	@+$(call build_analysed,tsan,-fsanitize=thread,c-tests)
	@rm -f $(call report,tsan).*
	export TSAN_OPTIONS='$(TSAN_OPTIONS) log_path=$(call report,tsan) $(SYMBOLIZER)'; \
		$(call run_analysed,tsan)
	@$(call no_reports,$(call report,tsan))
	@+$(MAKE) --no-print-directory check-tsan-supervisor

# The supervisor has two threads that know of applications, and httpd has to start it.
.PHONY: check-tsan-supervisor
check-tsan-supervisor: deps-analysis all
	@+$(call build_analysed,tsan,-fsanitize=thread,module)
	BUILD='$(BUILD)' TSAN_BUILD='$(BUILD)/tsan' \
		TSAN_RUNTIME="$$($(ANALYSIS_CC) -print-file-name=libclang_rt.tsan-$(shell uname -m).so)" \
		TSAN_OPTIONS='$(TSAN_OPTIONS) $(SYMBOLIZER)' $(PROVE) -- scripts/tsan_supervisor.t

# Faults that are put into the code one at a time, each of which some test must notice:
# scripts/mutants.txt.  MUTANTS='NAME...' only these.
mutants: deps
	@perl scripts/mutants.pl '$(BUILD)' $(MUTANTS)

# Each fuzz target for FUZZ_SECONDS, from its corpus on.  What is found lies in
# BUILD/fuzz; make it smaller, and put it into the corpus with what mends it.
FUZZ_SECONDS := 30
fuzz: deps-analysis
	@+$(call build_analysed,fuzz,-fsanitize=fuzzer-no-link $(ASAN_CFLAGS),FUZZ_CPP= FUZZ_LINK=-fsanitize=fuzzer fuzzers)
	@failed=; for source in $(FUZZ_SRC:.c=); do \
		name=$${source##*/} found='$(BUILD)/fuzz/corpus'/$${source##*/}; \
		echo "== $$name"; mkdir -p $$found; \
		ASAN_OPTIONS='suppressions=libdoor/t/asan.supp $(SYMBOLIZER)' \
		UBSAN_OPTIONS='print_stacktrace=1 $(SYMBOLIZER)' '$(BUILD)/fuzz/t'/$$name \
			-max_total_time=$(FUZZ_SECONDS) -timeout=60 -print_final_stats=1 -verbosity=0 \
			-artifact_prefix='$(BUILD)/fuzz/'$$name- $$found \
			$${source%/*}/corpus/$${name#fuzz_} || failed="$$failed $$name"; \
	done; \
	if [ -n "$$failed" ]; then echo "make fuzz: found something in$$failed" >&2; exit 1; fi

# Twenty to fifty times slower: what has no million of calls in it.
VALGRIND_TESTS := $(addprefix $(BUILD)/t/,test_attach test_attributes test_cred test_descriptors \
	test_info test_param test_revoke test_request test_response test_wire \
	$(notdir $(FUZZERS)))
check-valgrind: deps-analysis all c-tests
	DOOR_TEST_EMULATED=1 $(PROVE) -j$(C_JOBS) -e 'valgrind -q --error-exitcode=99 --fair-sched=yes' -- \
		$(VALGRIND_TESTS)
	BUILD='$(BUILD)' APXS='$(APXS)' $(PROVE) -- scripts/valgrind_httpd.t

# The C tests as programs for another architecture, with its check library.
foreign_check = FOREIGN=1 CHECK_CPP= CHECK_LIBS='-L$(abspath $(BUILD))/foreign/$(1) -lcheck_pic -lsubunit -lrt -lm -pthread'
foreign_tests = $(patsubst $(BUILD)/%,$(BUILD)/$(1)/%,$(filter-out $(call t_bin,$(HTTPD_TESTS)),$(TESTS)) $(FUZZERS))
$(BUILD)/foreign/%/libcheck_pic.a: scripts/foreign.sh
	sh scripts/foreign.sh $* $(@D)

.PHONY: check-m32 check-cross check-aarch64 check-musl
# The kernel's headers are the same for both.
M32 := -m32 -Wno-psabi -idirafter /usr/include/x86_64-linux-gnu
check-m32: $(BUILD)/foreign/i386/libcheck_pic.a $(BUILD)/t/aux_call
	@sh scripts/deps.sh m32
	@+$(MAKE) --no-print-directory BUILD='$(BUILD)/m32' CC='gcc-12 $(M32)' CXX='g++-12 $(M32)' \
		$(call foreign_check,i386) c-tests
	$(PROVE) -j$(C_JOBS) -- $(call foreign_tests,m32)
	$(PROVE) -e '' -- $(BUILD)/t/aux_call :: $(BUILD)/m32/t/aux_call
	$(PROVE) -e '' -- $(BUILD)/m32/t/aux_call :: $(BUILD)/t/aux_call

check-cross: check-aarch64 check-musl

# Under qemu, which is slow and no kernel: not what calls a million times, has hostile peers with
# a deadline, runs other programs, forks while threads start, or forks by clone(2).
AARCH64 := aarch64-linux-gnu-
NOT_EMULATED := test_async test_call test_return test_info test_numbers test_own_numbers test_run \
	$(patsubst $(BUILD)/t/%,%,$(filter $(BUILD)/t/test_hostile_%,$(TESTS)))
check-aarch64: $(BUILD)/foreign/arm64/libcheck_pic.a
	@sh scripts/deps.sh cross
	@+$(MAKE) --no-print-directory BUILD='$(BUILD)/aarch64' AR=$(AARCH64)ar NM=$(AARCH64)nm \
		OBJCOPY=$(AARCH64)objcopy CC='$(AARCH64)gcc -I$(abspath $(BUILD))/foreign/arm64' \
		CXX=$(AARCH64)g++ $(call foreign_check,arm64) libdoor c-tests
	DOOR_TEST_EMULATED=1 $(PROVE) -e 'qemu-aarch64-static -L /usr/aarch64-linux-gnu' -- \
		$(filter-out $(NOT_EMULATED:%=$(BUILD)/aarch64/t/%),$(call foreign_tests,aarch64))

# There is no check library for musl: one program, linked in each way.
MUSL := musl-gcc -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu
check-musl:
	@sh scripts/deps.sh cross
	@+$(MAKE) --no-print-directory BUILD='$(BUILD)/musl' CC='$(MUSL)' WERROR=-Werror libdoor
	@set -e; cd '$(BUILD)/musl'; for how in '-Wl,-rpath,$(abspath $(BUILD))/musl libdoor.so' libdoor.a '-static libdoor.a'; do \
		$(MUSL) $(WARNINGS) -I'$(CURDIR)/libdoor/include' -o doors '$(CURDIR)/scripts/t/doors.c' $$how; \
		echo "$$how"; ./doors ./name | grep -x 'hello, client'; \
	done

check-tree: all man $(if $(DOOR_SRC),$(BUILD)/bench/open_loop)
	BUILD='$(BUILD)' MAKE='$(MAKE)' CC='$(CC)' APXS='$(APXS)' PKG_CONFIG='$(PKG_CONFIG)' \
		$(PROVE) -- scripts/t/*.t bench/t/*.t

# The documents: beside the code, their commands, configurations and links.
.PHONY: check-docs
check-docs: all man docs
	BUILD='$(BUILD)' APXS='$(APXS)' $(PROVE) -- scripts/docs/*.t

$(MPMS:%=check-%): check-%: all tests
	@APXS='$(APXS)' exec bash scripts/suite.sh '$(BUILD)' $* $(TEST_FILES)

# Whole applications of Debian's, on the event MPM: minutes, and packages that nothing else needs.
.PHONY: check-heavy check-heavy-fcgi
check-heavy: check-heavy-fcgi
check-heavy-fcgi: deps
	@sh scripts/deps.sh heavy
	@+$(MAKE) --no-print-directory WERROR=-Werror all
	BUILD='$(BUILD)' APXS='$(APXS)' $(PROVE) -- scripts/heavy/*.t

# ---------------------------------------------------------------- benchmarks

# What a door_call() costs beside a bare socket: a table on stdout.  QUICK=1 is short,
# OTHER=/path/to/libdoor.so has another build of the library in the socket's place, CALLERS=n
# and PROCEDURE=0 (1, 2) only some of the rows.
CALL_BENCH := $(sort $(wildcard bench/call*.c))

$(OBJ)/bench/call%.o: LOCAL := -O2 $(DOOR_CPP) -Icompat
$(BUILD)/bench/call: $(call objs,$(CALL_BENCH))
	@mkdir -p $(@D)
	$(LINK) -o $@ $^ -ldl

.PHONY: bench-call
bench-call: $(BUILD)/bench/call $(LIBDOOR)
	@$(BUILD)/bench/call $(if $(QUICK),-q) $(OTHER:%=-o '%') $(CALLERS:%=-c %) \
		$(PROCEDURE:%=-p %) $(abspath $(LIBDOOR))

# How many server threads a pool makes of 4, 64 and 1,000 callers: a table on stdout; CALLERS=n
# has only those.
$(OBJ)/bench/pool.o: LOCAL := -O2 $(DOOR_CPP)
$(BUILD)/bench/pool: $(OBJ)/bench/pool.o $(LIBDOOR)
	@mkdir -p $(@D)
	$(LINK) -Wl,-rpath,'$$ORIGIN/..' -o $@ $< $(LIBDOOR) $(SYSTEM_LIBS)

.PHONY: bench-pool
bench-pool: $(BUILD)/bench/pool
	@$(BUILD)/bench/pool $(CALLERS:%=-c %)

# mod_door beside its peers: BUILD/bench/results.md, .json and pictures.  QUICK=1 takes some
# minutes, otherwise it is about fifty; what else may be said is in bench/bench.pl.
# bench-publish puts the last run's into bench/ and the README.
PEERS_DIR      := $(BUILD)/bench/peers
PEER_FILES := $(addprefix $(PEERS_DIR)/,mod_inprocess.so door door_db raw http http_door fcgi fcgi_db \
	fcgi_relinked cgi php_fpm)
define peer_build
@mkdir -p $(@D)
$(CC) $(BASE) -O2 -o $@ $< $(1)
endef
PEER_PATH  := -Wl,-rpath,'$$ORIGIN/../..'
PQ_CPP      = $(shell $(PKG_CONFIG) --cflags libpq)

$(PEER_FILES): $(wildcard bench/peers/*.h) $(BUILD)/flags
$(PEERS_DIR)/door $(PEERS_DIR)/door_db: $(BUILD)/libdoor_app.so $(LIBDOOR)
$(PEERS_DIR)/raw $(PEERS_DIR)/http_door: $(LIBDOOR)
$(PEERS_DIR)/door_db $(PEERS_DIR)/fcgi_db: PEER_LIBS = $(PQ_CPP) -lpq
$(PEERS_DIR)/http_door: PEER_LIBS = -lmicrohttpd

$(PEERS_DIR)/mod_inprocess.so: bench/peers/mod_inprocess.c $(BUILD)/httpd
	$(call peer_build,-shared $(HTTPD_SYSTEM))
$(PEERS_DIR)/door $(PEERS_DIR)/door_db: $(PEERS_DIR)/%: bench/peers/%.c
	$(call peer_build,$(DOOR_CPP) -Idoor_app $(PEER_PATH) $(BUILD)/libdoor_app.so $(LIBDOOR) \
		$(SYSTEM_LIBS) $(PEER_LIBS))
$(PEERS_DIR)/raw $(PEERS_DIR)/http_door: $(PEERS_DIR)/%: bench/peers/%.c
	$(call peer_build,$(DOOR_CPP) $(PEER_PATH) $(LIBDOOR) $(SYSTEM_LIBS) $(PEER_LIBS))
$(PEERS_DIR)/http: bench/peers/http.c
	$(call peer_build,-lmicrohttpd)
$(PEERS_DIR)/fcgi $(PEERS_DIR)/fcgi_db: $(PEERS_DIR)/%: bench/peers/%.c
	$(call peer_build,-lfcgi $(PEER_LIBS))
$(PEERS_DIR)/cgi: bench/peers/cgi.c
	$(call peer_build)
# The same source, with our headers in front of libfcgi's.
$(PEERS_DIR)/fcgi_relinked: bench/peers/fcgi.c $(BUILD)/libdoor_fcgi.so $(BUILD)/libdoor_app.so $(FCGI_HEADERS)
	$(call peer_build,-I$(FCGI_DIR) $(PEER_PATH) $(BUILD)/libdoor_fcgi.so $(BUILD)/libdoor_app.so \
		$(LIBDOOR) $(SYSTEM_LIBS))
# php-fpm's package would start a service: its program is taken out.  Without it that peer is
# left out.
$(PEERS_DIR)/php_fpm: bench/peers/php_fpm.sh
	@mkdir -p $(@D)
	-sh scripts/debian_apps.sh '$(abspath $(BUILD))/heavy/fpm' php8.2-fpm && \
		$(INSTALL) $(BUILD)/heavy/fpm/usr/sbin/php-fpm8.2 $(@D)/php-fpm
	$(INSTALL) $< $@

BENCH_CLIENTS := $(addprefix $(BUILD)/bench/,client open_loop)
$(BENCH_CLIENTS): $(BUILD)/bench/%: $(OBJ)/bench/%.o $(OBJ)/bench/response.o
	@mkdir -p $(@D)
	$(LINK) -o $@ $^

.PHONY: bench bench-peers bench-publish deps-bench
deps-bench:
	@sh scripts/deps.sh bench
bench-peers: $(PEER_FILES) $(BENCH_CLIENTS)
bench: deps deps-bench
	@+$(MAKE) --no-print-directory all bench-peers
	@APXS='$(APXS)' perl bench/bench.pl '$(BUILD)'
bench-publish: $(BUILD)/bench/results.md
	rm -f bench/*.svg
	cp $(BUILD)/bench/results.md bench/RESULTS.md
	cp $(BUILD)/bench/results.json $(BUILD)/bench/*.svg bench
	perl bench/quote.pl bench/results.json README.md
$(BUILD)/bench/results.md:
	@echo 'make bench-publish: there is no result yet: make bench' >&2; exit 1

# How the cost grows with clients, threads, applications and httpd's children:
# BUILD/bench/scale.md.  QUICK=1 is under a minute, FILL=1 puts it into bench/SCALE.md.
.PHONY: bench-scale
bench-scale: deps deps-bench
	@+$(MAKE) --no-print-directory all $(addprefix $(PEERS_DIR)/,mod_inprocess.so door)
	@APXS='$(APXS)' perl bench/scale.pl '$(BUILD)'

# ---------------------------------------------------------------- to install

MODULE_DIR ?= $(shell $(APXS) -q LIBEXECDIR)
# Debian keeps a pair of files per module there; elsewhere they are samples.
CONF_DIR   ?= $(firstword $(wildcard $(shell $(APXS) -q SYSCONFDIR)/mods-available) \
	$(PREFIX)/share/mod_door)

HEADERS    := $(if $(DOOR_SRC),$(wildcard libdoor/include/*.h) compat/door_compat.h)
SYS_HEADERS := $(if $(DOOR_SRC),$(wildcard libdoor/include/sys/*.h))
MAN3       := $(if $(DOOR_SRC),$(wildcard libdoor/man/*.3))
# The runtime's pages are made from its header.
$(BUILD)/man/door_app.3: door_app/door_app.h scripts/man.pl Makefile
	perl scripts/man.pl $< $(@D) '$(RELEASED)'
.PHONY: man
man: $(BUILD)/man/door_app.3
# The manual as HTML, and of its directives a manual page, from docs/*.md.
DOCDIR     ?= $(PREFIX)/share/doc/mod_door
$(BUILD)/docs/mod_door.html: $(wildcard docs/* docs/python/*) CHANGELOG.md scripts/docs.pl \
		scripts/docs/Docs.pm Makefile
	rm -rf $(@D) && mkdir -p $(@D) $(BUILD)/man
	perl scripts/docs.pl $(@D) $(BUILD)/man '$(VERSION)' '$(RELEASED)'
.PHONY: docs
docs: $(BUILD)/docs/mod_door.html
# Installed where lowdown(1) is, which makes them.
DOCS       := $(if $(shell command -v lowdown),$(BUILD)/docs/mod_door.html)
.PHONY: manual
manual: $(DOCS)
LIBS       := $(if $(DOOR_SRC),door) door_app door_fcgi
CONF_FILES := conf/door.load conf/door.conf
here_conf   = sed 's|/usr/lib/apache2/modules|$(MODULE_DIR)|' "$$file"

# Where pkg-config's file is, there the rest is: the tree may be moved.  A system's own, which is
# not, says /usr.
PC_PREFIX  ?= $${pcfiledir}/$(shell perl -MFile::Spec -e 'print File::Spec->abs2rel(@ARGV)' \
	'$(PREFIX)' '$(LIBDIR)/pkgconfig')
below_prefix = $(patsubst $(PREFIX)/%,$${prefix}/%,$(1))
PC_VARS = -e 's|@PREFIX@|$(PC_PREFIX)|' -e 's|@LIBDIR@|$(call below_prefix,$(LIBDIR))|' \
	-e 's|@INCLUDEDIR@|$(call below_prefix,$(INCLUDEDIR))|' -e 's|@VERSION@|$(VERSION)|' \
	-e 's|@REQUIRES@|$(if $(DOOR_SRC),Requires: libdoor)|' \
	-e 's|@SYSTEM_LIBS@|$(SYSTEM_LIBS:%= %)|'

# What root has built in somebody else's folder is that one's, who may want to remove it.
owner_of = $$(ls -nd $(1) | awk '{ print $$3 ":" $$4 }')
define give_back
@if [ "$$(id -u)" = 0 ] && [ -d '$(BUILD)' ] && [ $(call owner_of,.) != 0:0 ]; then \
	chown -hR $(call owner_of,.) '$(BUILD)'; \
fi
endef

.PHONY: install install-python uninstall clean

install: installed
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR)/libdoor/sys \
		$(DESTDIR)$(SBINDIR) $(DESTDIR)$(MANDIR)/man8 \
		$(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man3 $(DESTDIR)$(MODULE_DIR) $(DESTDIR)$(CONF_DIR)
	for lib in $(LIBS); do \
		$(INSTALL) -m 644 $(BUILD)/lib$$lib.so.$(SOVERSION) $(BUILD)/lib$$lib.a \
			$(DESTDIR)$(LIBDIR) && \
		ln -sf lib$$lib.so.$(SOVERSION) $(DESTDIR)$(LIBDIR)/lib$$lib.so && \
		sed $(PC_VARS) lib$$lib.pc.in >$(DESTDIR)$(LIBDIR)/pkgconfig/lib$$lib.pc || exit 1; \
	done
	$(if $(HEADERS),$(INSTALL) -m 644 $(HEADERS) $(DESTDIR)$(INCLUDEDIR)/libdoor)
	$(if $(SYS_HEADERS),$(INSTALL) -m 644 $(SYS_HEADERS) $(DESTDIR)$(INCLUDEDIR)/libdoor/sys)
	$(INSTALL) -m 644 door_app/door_app.h $(DESTDIR)$(INCLUDEDIR)
	$(INSTALL) -d $(DESTDIR)$(INCLUDEDIR)/door_fcgi
	$(INSTALL) -m 644 $(FCGI_HEADERS) $(DESTDIR)$(INCLUDEDIR)/door_fcgi
	$(INSTALL) -m 755 $(BUILD)/door-call $(DESTDIR)$(BINDIR)
	$(INSTALL) -m 644 door_app/tools/door-call.1 $(DESTDIR)$(MANDIR)/man1
	$(INSTALL) -m 755 $(BUILD)/doorctl $(DESTDIR)$(SBINDIR)
	$(INSTALL) -m 644 supervisor/tools/doorctl.8 $(DESTDIR)$(MANDIR)/man8
	$(INSTALL) -m 644 $(MAN3) $(BUILD)/man/*.3 $(DESTDIR)$(MANDIR)/man3
	$(if $(DOCS),$(INSTALL) -d $(DESTDIR)$(MANDIR)/man8 $(DESTDIR)$(DOCDIR)/html && \
		$(INSTALL) -m 644 $(BUILD)/man/mod_door.8 $(DESTDIR)$(MANDIR)/man8 && \
		cp -R $(BUILD)/docs/. $(DESTDIR)$(DOCDIR)/html)
	$(INSTALL) -m 644 $(BUILD)/mod_door.so $(DESTDIR)$(MODULE_DIR)
	$(INSTALL) -d $(DESTDIR)$(LIBDIR)/mod_door
	$(INSTALL) $(GATEWAYS) $(DESTDIR)$(LIBDIR)/mod_door
	@# What the administrator has changed is his: neither written over nor removed.
	@for file in $(CONF_FILES); do \
		to=$(DESTDIR)$(CONF_DIR)/$${file##*/}; \
		if [ ! -e "$$to" ]; then \
			$(here_conf) >"$$to" && chmod 644 "$$to" || exit 1; \
		elif ! $(here_conf) | cmp -s - "$$to"; then \
			echo "note: $$to is kept as it is; what comes with this version is $$file"; \
		fi; \
	done
	@test -n '$(DESTDIR)' || ! command -v ldconfig >/dev/null || ldconfig || \
		echo "note: run ldconfig as root if $(LIBDIR) is in its configuration"
	$(give_back)

# For a distribution's package: into its own Python, with the libraries that it has installed.
install-python: $(LIBDOOR_ALL) $(APP_ALL)
	rm -rf $(PYTHON_BUILD)/install && mkdir -p $(PYTHON_BUILD)/install
	cp -R python/setup.py python/src python/door_app $(PYTHON_BUILD)/install
	cd $(PYTHON_BUILD)/install && $(PYTHON_ENV) DOOR_APP_LINK='-L$(abspath $(BUILD)) -ldoor_app' \
		$(PYTHON) setup.py -q install --prefix='$(PREFIX)' $(if $(DESTDIR),--root='$(abspath $(DESTDIR))') \
		--single-version-externally-managed --record=installed $(PYTHON_LAYOUT)
	$(give_back)

uninstall:
	@for file in $(CONF_FILES); do \
		to=$(DESTDIR)$(CONF_DIR)/$${file##*/}; \
		enabled=$(DESTDIR)$(CONF_DIR)/../mods-enabled/$${file##*/}; \
		if [ -e "$$to" ] && $(here_conf) | cmp -s - "$$to"; then \
			rm -f "$$to"; \
		elif [ -e "$$to" ]; then \
			echo "note: $$to has been changed, and stays"; \
		fi; \
		test ! -L "$$enabled" || echo "note: a2dismod door: $$enabled is left"; \
	done
	rm -f $(foreach lib,$(LIBS),$(addprefix $(DESTDIR)$(LIBDIR)/lib$(lib),.so .so.$(SOVERSION) .a)) \
		$(foreach lib,$(LIBS),$(DESTDIR)$(LIBDIR)/pkgconfig/lib$(lib).pc) \
		$(addprefix $(DESTDIR)$(INCLUDEDIR)/libdoor/,$(notdir $(HEADERS))) \
		$(addprefix $(DESTDIR)$(INCLUDEDIR)/libdoor/sys/,$(notdir $(SYS_HEADERS))) \
		$(DESTDIR)$(INCLUDEDIR)/door_app.h $(DESTDIR)$(MODULE_DIR)/mod_door.so \
		$(DESTDIR)$(BINDIR)/door-call $(DESTDIR)$(MANDIR)/man1/door-call.1 \
		$(DESTDIR)$(SBINDIR)/doorctl $(DESTDIR)$(MANDIR)/man8/doorctl.8 \
		$(addprefix $(DESTDIR)$(MANDIR)/man3/,$(notdir $(MAN3)) door_app*.3)
	rm -f $(addprefix $(DESTDIR)$(INCLUDEDIR)/door_fcgi/,$(notdir $(FCGI_HEADERS)))
	-rmdir $(DESTDIR)$(INCLUDEDIR)/door_fcgi
	rm -f $(DESTDIR)$(MANDIR)/man8/mod_door.8
	rm -rf $(DESTDIR)$(DOCDIR)/html
	-rmdir $(DESTDIR)$(DOCDIR)
	rm -f $(addprefix $(DESTDIR)$(LIBDIR)/mod_door/,$(notdir $(GATEWAYS)))
	-rmdir $(DESTDIR)$(LIBDIR)/mod_door
	-rmdir $(DESTDIR)$(INCLUDEDIR)/libdoor/sys $(DESTDIR)$(INCLUDEDIR)/libdoor

clean:
	@rm -rf '$(BUILD)' || { echo "make clean: some of it is another user's, such as root's demo: sudo make clean" >&2; exit 1; }

# ---------------------------------------------------------------- Debian's packages

# Of what is committed, whatever else lies about here; they are in $(BUILD)/deb.
.PHONY: deb check-heavy-deb
deps-deb:
	@sh scripts/deps.sh deb
deb: deps-deb
	@bash scripts/deb.sh '$(BUILD)/deb'
# Installed, upgraded, removed and purged on a machine of their own.
check-heavy: check-heavy-deb
check-heavy-deb: deps-deb
	BUILD='$(BUILD)' $(PROVE) -- scripts/packages.t
