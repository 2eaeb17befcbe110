package cli

import (
	"context"
	"encoding/json"
	"fmt"
)

// HealthOptions say what to check.
type HealthOptions struct {
	Ready bool // whether it accepts events and clients
	Live  bool // only whether it works
}

// Health prints the broker's health in a line, and fails unless it is good.
func Health(ctx context.Context, b Broker, o HealthOptions, s Streams) error {
	path := "/health"
	switch {
	case o.Ready:
		path += "/ready"
	case o.Live:
		path += "/live"
	}
	calls := b.HTTP(1)
	defer calls.CloseIdleConnections()
	text, err := b.get(ctx, calls, path)
	if ctx.Err() != nil {
		return ErrInterrupted
	}
	if err != nil {
		return err
	}
	var health struct {
		Status    string
		Version   *string
		UptimeS   int64 `json:"uptime_s"`
		Clients   int
		Connected int
		Topics    int
	}
	if err := json.Unmarshal(text, &health); err != nil {
		return fmt.Errorf("the server at %s is not a broker: %w", b.URL, err)
	}
	line := health.Status
	if health.Version != nil {
		line += fmt.Sprintf(": version %s, up %v, %d clients (%d connected), %d topics",
			*health.Version, seconds(health.UptimeS), health.Clients, health.Connected, health.Topics)
	}
	_, err = fmt.Fprintln(s.Out, printable(line))
	return err
}
