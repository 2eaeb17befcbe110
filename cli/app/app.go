// Package app is the program as a function: it parses a command line and runs the command.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"belfry/cli"
	"belfry/cli/serve"
	"belfry/cli/serve/logging"
	"belfry/config"
)

// Run does what the command line says, by default to serve until ctx ends. It returns the
// exit status: 0, 1 for a failure, 2 for a wrong command line. On a hangup the broker
// reads its configuration again.
func Run(ctx context.Context, hangups <-chan os.Signal, args, environ []string, stdout, stderr io.Writer) int {
	return RunWith(ctx, hangups, args, environ, cli.StreamsOf(os.Stdin, stdout, stderr, environ))
}

// RunWith is [Run] with streams of any kind.
func RunWith(ctx context.Context, hangups <-chan os.Signal, args, environ []string, streams cli.Streams) int {
	stdout, stderr := streams.Out, streams.Err
	command, err := config.ParseCommand(args, environ, serve.Version(), stdout, stderr)
	if errors.Is(err, config.ErrDone) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 2
	}
	switch command := command.(type) {
	case config.KeyCreate:
		if err := serve.CheckPatterns("--topics", command.Topics); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		err = command.Run(stdout, stderr)
	case config.TokenCreate:
		if err := errors.Join(serve.CheckPatterns("--subscribe", command.Subscribe), serve.CheckPatterns("--publish", command.Publish)); err != nil {
			fmt.Fprintln(stderr, err)
			return 2
		}
		err = serve.CreateToken(command, stdout)
	case config.TokenCheck:
		log := logging.New(serve.LogOptionsOf(command.Config), stderr)
		err = serve.CheckToken(command, streams.In, stdout, log.Logger)
		log.Close()
	case config.Config:
		again := func(running config.Config) (config.Config, []string, error) {
			return config.Reload(running, args, environ)
		}
		return serve.Run(ctx, hangups, command, again, stderr, time.Now)
	default:
		signal.Reset(syscall.SIGHUP) // a closing terminal ends its commands
		return cli.Status(runClient(ctx, command, streams), stderr)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}
