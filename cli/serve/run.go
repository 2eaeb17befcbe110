// Package serve wires the actors to a broker and runs it.
package serve

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

	"belfry/cli/serve/logging"
	"belfry/config"
	"belfry/hub"
)

// Run serves until ctx ends and returns the exit status.
func Run(ctx context.Context, hangups <-chan os.Signal, cfg config.Config, again reader, stderr io.Writer, clock func() time.Time) int {
	if err := checkTopics(cfg); err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	signal.Ignore(syscall.SIGPIPE) // the reader of the log may end before the broker
	log := logging.New(LogOptionsOf(cfg), stderr)
	defer log.Close()
	warn(log, cfg)
	b, err := newBroker(cfg, log, clock)
	if err != nil {
		log.Close() // the log itself ends last
		fmt.Fprintln(stderr, err)
		return 2
	}
	if err := b.serve(ctx, hangups, again); err != nil {
		log.Error("cannot serve", zap.Error(err))
		return 1
	}
	return 0
}

// warn logs the problems that do not stop the broker.
func warn(log logging.Logger, cfg config.Config) {
	if len(cfg.Unknown) > 0 {
		log.Warn("environment variables that are not settings", zap.Strings("names", cfg.Unknown))
	}
	for _, warning := range cfg.Warnings {
		log.Warn(warning)
	}
}

// checkTopics checks the topics of the configuration.
func checkTopics(cfg config.Config) error {
	problems := []error{CheckPatterns("default_topics", cfg.DefaultTopics)}
	for _, key := range cfg.Keys {
		problems = append(problems, CheckPatterns("topics of the key "+key.Name, key.Topics))
	}
	return errors.Join(problems...)
}

// CheckPatterns returns the invalid topics and patterns of the configuration, with their
// settings.
func CheckPatterns(where string, names []string) error {
	var problems []error
	for _, name := range names {
		if err := hub.CheckPattern(name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", where, err))
		}
	}
	return errors.Join(problems...)
}

// Version returns the module's version, or the revision that the binary was built from.
func Version() string {
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
