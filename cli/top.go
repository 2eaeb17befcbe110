package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"belfry/client"
)

// TopOptions configure top.
type TopOptions struct {
	Once     bool
	Interval time.Duration // between two looks
}

// A look has the figures of one moment.
type look struct {
	at      time.Time
	version string
	uptime  time.Duration
	figures figures
}

// Top shows what a broker does until ctx ends. Rates are the differences between two
// looks. Without a terminal it prints one picture. While the broker is away it says so and
// continues.
func Top(ctx context.Context, b Broker, o TopOptions, s Streams) error {
	calls := b.HTTP(1)
	defer calls.CloseIdleConnections()
	before, err := b.look(ctx, calls)
	if err != nil {
		return topEnd(ctx, err)
	}
	once := o.Once || !s.OutTerminal
	if !once {
		fmt.Fprint(s.Out, "\x1b[?25l") // hides the cursor
		defer fmt.Fprint(s.Out, "\x1b[?25h")
	}
	tick := time.NewTicker(o.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return topEnd(ctx, nil)
		}
		now, err := b.look(ctx, calls)
		if once || ctx.Err() != nil {
			if err != nil {
				return topEnd(ctx, err)
			}
			_, err = fmt.Fprint(s.Out, frame(b, before, now))
			return err
		}
		var text string
		if err != nil {
			text = printable(err.Error())
		} else {
			text = frame(b, before, now)
			before = now
		}
		if err := s.draw(text); err != nil {
			return err
		}
	}
}

// topEnd returns the error that the command ends with: nil if it was interrupted.
func topEnd(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// draw shows a text on the whole terminal, as far as it fits. It does not flicker: each
// line is overwritten, and then the rest is cleared.
func (s Streams) draw(text string) error {
	columns, rows := s.Size()
	var out strings.Builder
	out.WriteString("\x1b[H")
	for i, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		if i == rows-1 {
			break
		}
		if runes := []rune(line); len(runes) > columns {
			line = string(runes[:columns])
		}
		out.WriteString(line + "\x1b[K\n")
	}
	out.WriteString("\x1b[J")
	_, err := fmt.Fprint(s.Out, out.String())
	return err
}

func (b Broker) look(ctx context.Context, c *http.Client) (look, error) {
	found, err := b.figures(ctx, c)
	if problem, ok := errors.AsType[*client.Problem](err); ok && problem.Code == "not_found" {
		err = fmt.Errorf("%w; if the broker has an admin_addr, give that one: --url http://ADMIN_ADDR", err)
	}
	if err != nil {
		return look{}, err
	}
	l := look{at: time.Now(), figures: found}
	text, err := b.get(ctx, c, "/health")
	if err != nil {
		return look{}, err
	}
	var health struct {
		Version string
		UptimeS int64 `json:"uptime_s"`
	}
	if err := json.Unmarshal(text, &health); err != nil {
		return look{}, errors.New("the server that answers /health is not a broker")
	}
	l.version, l.uptime = health.Version, seconds(health.UptimeS)
	return l, nil
}

// frame returns the picture of what happened between two looks.
func frame(b Broker, before, now look) string {
	var out strings.Builder
	f := now.figures
	elapsed := max(now.at.Sub(before.at).Seconds(), 1e-9)
	rate := func(name string) float64 {
		// A restarted broker counts from 0.
		return max(f["belfry_"+name]-before.figures["belfry_"+name], 0) / elapsed
	}
	row := func(name, format string, values ...any) {
		fmt.Fprintf(&out, "%-12s "+format+"\n", append([]any{name}, values...)...)
	}
	state := "running"
	switch {
	case f["belfry_draining"] > 0:
		state = "shutting down"
	case f["belfry_behind"] > 0:
		state = "busy: publishes wait"
	}
	row("belfry", "%s at %s, up %v: %s", printable(now.version), printable(b.URL), now.uptime, state)
	row("publishes", "%10.1f /s   %12.0f in all   %10.1f /s repeats", rate("events_published_total"), f["belfry_events_published_total"], rate("events_repeated_total"))
	row("deliveries", "%10.1f /s   %12.0f in all   %10s /s", rate("events_delivered_total"), f["belfry_events_delivered_total"], size(rate("written_bytes_total")))
	row("connections", "%10.0f      %12.1f /s new   %10.0f blocked", f["belfry_connections"], rate("connections_opened_total"), f["belfry_connections_blocked"])
	row("clients", "%10.0f      %12.0f connected", f["belfry_clients"], f["belfry_clients_connected"])
	row("topics", "%10.0f      %12.0f patterns", f["belfry_topics"], f["belfry_patterns"])
	row("queues", "%10s      %12.0f for couriers   %6.0f for the hub", size(f["belfry_client_queue_bytes"]), f["belfry_courier_backlog"], f["belfry_hub_queue"])
	row("log", "%10s      %12.0f events   %10.1f /s evicted", size(f["belfry_log_bytes"]), f["belfry_log_events"], rate("events_evicted_total"))
	row("memory", "%10s      %12s at most", size(f["belfry_memory_bytes"]), limit(f["belfry_memory_limit_bytes"]))
	row("trouble", "%10.1f /s gaps   %6.1f /s slow clients   %6.1f /s refused calls", rate("gaps_total"), rate(`disconnects_total{reason="slow_consumer"}`), rate("refused_total"))
	return out.String()
}

func limit(bytes float64) string {
	if bytes == 0 {
		return "no limit"
	}
	return size(bytes)
}
