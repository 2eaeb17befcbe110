// Command belfry is a real-time event broker: backends publish events over
// HTTP, browsers receive them over WebSocket.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"belfry/cli/app"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	os.Exit(app.Run(ctx, hangups, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}
