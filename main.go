// Command belfry is a real-time event broker: backends publish events over
// HTTP, browsers receive them over WebSocket.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"go.uber.org/zap"

	"belfry/cli"
	"belfry/config"
	"belfry/hub"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	os.Exit(run(ctx, hangups, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program as a function: it does what the command line asks for, by
// default to serve until ctx ends, and returns the exit status, 2 for a wrong
// command line. On a hangup the broker reads its configuration again.
func run(ctx context.Context, hangups <-chan os.Signal, args, environ []string, stdout, stderr io.Writer) int {
	return runWith(ctx, hangups, args, environ, cli.StreamsOf(os.Stdin, stdout, stderr, environ))
}

// runWith is [run] with streams of any kind.
func runWith(ctx context.Context, hangups <-chan os.Signal, args, environ []string, streams cli.Streams) int {
	stdout, stderr := streams.Out, streams.Err
	command, err := config.ParseCommand(args, environ, version(), stdout, stderr)
	if errors.Is(err, config.ErrDone) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	switch command := command.(type) {
	case config.KeyCreate:
		if err := checkPatterns("--topics", command.Topics); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		err = command.Run(stdout, stderr)
	case config.TokenCreate:
		if err := errors.Join(checkPatterns("--subscribe", command.Subscribe), checkPatterns("--publish", command.Publish)); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		err = createToken(command, stdout)
	case config.TokenCheck:
		log := newLogger(logOptionsOf(command.Config), stderr)
		err = checkToken(command, streams.In, stdout, log.Logger)
		log.close()
	case config.Config:
		again := func(running config.Config) (config.Config, []string, error) {
			return config.Reload(running, args, environ)
		}
		return runBroker(ctx, hangups, command, again, stderr, time.Now)
	default:
		signal.Reset(syscall.SIGHUP) // a terminal that goes takes its commands along
		return cli.Status(runClient(ctx, command, streams), stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// runBroker serves and returns the exit status.
func runBroker(ctx context.Context, hangups <-chan os.Signal, cfg config.Config, again reader, stderr io.Writer, clock func() time.Time) int {
	if err := checkTopics(cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	signal.Ignore(syscall.SIGPIPE) // the reader of the log may end before the broker
	log := newLogger(logOptionsOf(cfg), stderr)
	defer log.close()
	warn(log, cfg)
	b, err := newBroker(cfg, log, clock)
	if err != nil {
		log.close() // what it says comes first
		fmt.Fprintln(stderr, err)
		return 2
	}
	if err := b.serve(ctx, hangups, again); err != nil {
		log.Error("cannot serve", zap.Error(err))
		return 1
	}
	return 0
}

// warn logs what is worth no more than that.
func warn(log logger, cfg config.Config) {
	if len(cfg.Unknown) > 0 {
		log.Warn("environment variables that are no settings", zap.Strings("names", cfg.Unknown))
	}
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
}

// checkTopics reports what is wrong with the topics of the configuration.
func checkTopics(cfg config.Config) error {
	problems := []error{checkPatterns("default_topics", cfg.DefaultTopics)}
	for _, key := range cfg.Keys {
		problems = append(problems, checkPatterns("topics of the key "+key.Name, key.Topics))
	}
	return errors.Join(problems...)
}

func checkPatterns(where string, names []string) error {
	var problems []error
	for _, name := range names {
		if err := hub.CheckPattern(name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(problems...)
}

// version is the module's version, or the revision that the binary was built
// from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:12]
		}
	}
	return "devel"
}
