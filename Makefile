FUZZTIME ?= 5m
SEEDS ?= 10000
TIMEOUT ?= 10m
SOAKTIME ?= 10m
FLOODTIME ?= 20s
SLOWTIME ?= 1m
WAVES ?= 20
KILLS ?= 100

# The race detector needs a C compiler; without one the tests run without it.
race = $(if $(shell command -v "$$(go env CC)"),-race,$(warning no C compiler: testing without the race detector))

# Packages are tested in the order of the arguments, so the longest begin first: none should end alone. Their processes
# are short, so memory is collected less often.
longest = $(addprefix ./tests/,clients operations protocol hostile checker resume) ./config

.PHONY: help run build deps lint test soak chaos abuse simulate flood slow fuzz vuln bench

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /\1 /p' Makefile | while read -r target what; do printf '  make %-8s %s\n' "$$target" "$$what"; done

run: ## start the broker on 127.0.0.1:8000
	go run .

build: ## build bin/belfry
	CGO_ENABLED=0 go build -trimpath -o bin/belfry .

deps: ## install the foreign clients that some tests use
	tests/testdata/install

lint: ## check the form of the code: gofmt, go vet, staticcheck; that it builds elsewhere
	@unformatted=$$(gofmt -l .) && if [ -n "$$unformatted" ]; then echo "gofmt -w $$unformatted"; exit 1; fi
	go vet ./...
	@# A vet compiles all that these are made of, keeps what it found, and links nothing, as a build would.
	GOOS=darwin go vet . && GOOS=windows go vet .
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

test: deps lint ## run everything that must pass before a commit
	GOGC=400 go test $(race) -ldflags=-w -vet=off -parallel 6 -timeout $(TIMEOUT) $(longest) ./...

soak: ## check deliveries at full size, with new seeds for SOAKTIME (10m)
	go test $(race) -timeout 0 -count=1 -v -run '^TestCheckerSoak$$' ./tests/checker -checker.soak=$(SOAKTIME)

abuse: ## have hundreds of connections at a time do what no client should, in WAVES (20)
	go test $(race) -timeout 0 -count=1 -v -run '^TestAbuse$$' ./tests/hostile -abuse.waves=$(WAVES)

chaos: ## kill a durable broker KILLS (100) times while it is written to, and check that nothing is lost
	go test -timeout 0 -count=1 -v -run '^TestKill$$' ./tests/durable -kills=$(KILLS)

slow: ## check what a slow line gets of topics that change all the time, for SLOWTIME (1m)
	go test -timeout 0 -count=1 -v -run '^TestLatestLine$$' ./tests/resume -slow=$(SLOWTIME)

simulate: ## check SEEDS (10000) simulated histories of couriers, lines and peers
	go test -timeout 0 -count=1 -run '^TestSimulation$$' ./transport -sim.seeds=$(SEEDS)

flood: ## flood a broker, each way for FLOODTIME (20s), and print what a bystander feels
	go test -timeout 0 -count=1 -v -run '^TestFloodReport$$' ./tests/hostile -flood.for=$(FLOODTIME)

fuzz: ## run every fuzz target for FUZZTIME (5m), one after another
	@grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's/:func / /' | while read -r file target; do \
		echo "$$target in $${file%/*}"; \
		go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$${file%/*}" </dev/null || exit 1; \
	done

vuln: ## look for known vulnerabilities, in a database at vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

bench: ## measure
	go test -run '^$$' -bench . -benchmem ./...
