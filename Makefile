# make demo   build writ and let it tell the whole story on this machine
# make test   everything this machine can run; names what it leaves out
# make bench  figures, as ratios to the bare primitives of the same run
# make bench-mls  the MLS library beside another one
# make mutate take each defence out and let the attack succeed (a quarter of an hour)
# make mutate-rules  take each check of mls/rules.md out and see its test fail (ten minutes)
# make check  what CI runs beyond the tests: formatting, vet, staticcheck

GO ?= go

# The rooms in which goroutines share state.
SERVICES = ./capsule ./engine ./follower ./replica ./scribe ./notary ./registry ./witness ./operator ./delivery ./docket ./custodian ./client

.PHONY: all build demo test mutate mutate-rules race check fuzz bench bench-mls generate clean

all: build

build:
	$(GO) build -o bin/writ ./cmd/writ

demo: build
	./bin/writ demo

test:
	./test/run

mutate:
	$(GO) run ./test/mutate

mutate-rules:
	$(GO) run ./test/mutate -rules

race:
	$(GO) test -race -short $(SERVICES)

check:
	./test/check

fuzz:
	./test/fuzz 60

bench:
	$(GO) test -run '^$$' -bench . -benchtime 1s ./mls ./capsule ./unseal ./bundle ./directory ./audit ./replica ./notice/... ./engine ./delivery ./client

bench-mls:
	npm ci --silent --no-audit --no-fund --prefix mls/interop
	$(GO) test -run '^$$' -bench . -timeout 30m ./mls ./mls/interop

generate:
	$(GO) generate ./api
	cd mls/interop/grpc && $(GO) generate ./mlsclient

clean:
	rm -rf bin
