# make demo   shows the main job; ONCE=1 ends by itself
# make test   runs every test
# Both install what they need first (make deps).

GO ?= go
CC ?= gcc
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFLAGS_BUILD := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
FUZZTIME ?= 30s

.PHONY: build demo test check race fuzz bench soak windows e2e-windows e2e-usb e2e-web load deps clean

build:
	@.ci/deps.sh build
	@mkdir -p bin
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/zelo-agent ./agent
	for a in 386 amd64; do GOOS=linux GOARCH=$$a CGO_ENABLED=0 \
	  $(GO) build $(GOFLAGS_BUILD) -o bin/satlib-host-$$a ./sat/host || exit 1; done
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o bin/zelo-collector ./collector
	CC=$(CC) sat/shim/build.sh $(CURDIR)/bin/libsat.so

demo: build
	$(GO) run ./agent/demo -bin bin $(if $(ONCE),-once)

test: deps
	@.ci/test.sh

check: deps
	for t in linux/amd64 linux/386 windows/amd64 windows/386; do \
	  GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) vet ./... || exit 1; done
	$(GO) run honnef.co/go/tools/cmd/staticcheck@latest ./...
	$(GO) test ./agent/e2e -run 'Imports|Packages|Nothing|Sources|Folder'

race: deps
	$(GO) test -race ./...

fuzz: deps
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	  echo "$$p $$f"; $(GO) test $$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) || exit 1; done; done

bench: deps
	@.ci/bench.sh

# SEEDS=n shops in simulated time; SEED=x plays one; MUTANTS=1 looks for faults put into the product.
soak: deps
	@mkdir -p bin && $(GO) test -c -o bin/soak.test ./agent/soak
	@cd agent/soak && ZELO_SOAK_SEEDS=$(SEEDS) ZELO_SOAK_SEED=$(SEED) ZELO_SOAK_MUTANTS=$(MUTANTS) \
	  TMPDIR=$${TMPDIR:-$$([ -w /dev/shm ] && echo /dev/shm || echo /tmp)} ../../bin/soak.test -test.timeout 0 -test.run '$(if $(MUTANTS),^TestMutants$$,^TestSoak$$)'

windows: deps
	@mkdir -p bin/windows
	for a in 386 amd64; do export GOOS=windows GOARCH=$$a CGO_ENABLED=0; \
	  $(GO) build $(GOFLAGS_BUILD) -o bin/windows/zelo-agent-$$a.exe ./agent && \
	  $(GO) build $(GOFLAGS_BUILD) -o bin/windows/satlib-host-$$a.exe ./sat/host || exit 1; done
	sat/shim/build-windows.sh $(CURDIR)/bin/windows

e2e-windows:
	@.ci/deps.sh wine
	@.ci/e2e-windows.sh

e2e-usb: deps
	@.ci/e2e-usb.sh

load: build
	$(GO) run ./agent/load -tills $(or $(TILLS),500)

e2e-web: deps
	$(GO) test -v -count=1 ./collector/web

# What is missing is installed where that is allowed, otherwise named.
deps:
	@.ci/deps.sh

clean:
	rm -rf bin build
