package app

import (
	"context"
	"fmt"
	"runtime/debug"

	"belfry/cli"
	"belfry/cli/bench"
	"belfry/cli/logfile"
	"belfry/cli/serve"
	"belfry/config"
)

// runClient runs the other commands than serve: those that talk to a broker or describe
// the program.
func runClient(ctx context.Context, command any, s cli.Streams) error {
	switch c := command.(type) {
	case config.Publish:
		return cli.Publish(ctx, brokerOf(c.Broker), cli.PublishOptions{
			Topic: c.Topic, Message: c.Message, JSON: c.JSON, Lines: c.Lines, File: c.File,
			User: c.User, ID: c.ID, Key: c.Key, ExpiresIn: c.ExpiresIn, RetryFor: c.RetryFor,
		}, s)
	case config.Subscribe:
		return cli.Subscribe(ctx, brokerOf(c.Broker), cli.SubscribeOptions{
			Topics: c.Topics, After: c.After, Last: c.Last, Count: c.Count, Cursor: c.Cursor,
			JSON: c.Format == "json" || c.Format == "auto" && !s.OutTerminal,
		}, s)
	case config.Health:
		return cli.Health(ctx, brokerOf(c.Broker), cli.HealthOptions{Ready: c.Ready, Live: c.Live}, s)
	case config.Top:
		return cli.Top(ctx, brokerOf(c.Broker), cli.TopOptions{Once: c.Once, Interval: c.Interval}, s)
	case config.Bench:
		return bench.Run(ctx, brokerOf(c.Broker), bench.Options{
			Connections: c.Connections, Topics: c.Topics, Rate: c.Rate, Window: c.Window, Size: c.Size, Duration: c.Duration,
			Transport: c.Transport, Publishers: c.Publishers, JSON: c.JSON, SVG: c.SVG,
		}, s)
	case config.LogVerify:
		return logfile.Verify(c.Dir, s)
	case config.LogDump:
		return logfile.Dump(ctx, c.Dir, c.After, s)
	case config.LogCompact:
		return logfile.Compact(c.Dir, s)
	case config.LogRenew:
		return logfile.Renew(c.Dir, s)
	case config.Version:
		return build().Print(s.Out, c.JSON)
	case config.Completion:
		return c.Run(s.Out)
	}
	return fmt.Errorf("nothing runs %T", command) // a command is missing above
}

func brokerOf(b config.Broker) cli.Broker {
	return cli.Broker{URL: b.URL, Key: string(b.Key), Roots: b.Roots, Insecure: b.InsecureTLS}
}

// build returns what the program was built from.
func build() cli.Version {
	v := cli.Version{Version: serve.Version()}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				v.Revision = s.Value
			case "vcs.modified":
				v.Modified = s.Value == "true"
			}
		}
	}
	return v
}
