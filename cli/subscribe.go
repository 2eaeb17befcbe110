package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"belfry/client"
)

// SubscribeOptions say which events to print, and how.
type SubscribeOptions struct {
	Topics []string
	After  string // a cursor; "": live events, or
	Last   int    // so many of the newest events of each topic first
	JSON   bool   // one object in each line, otherwise text
	Count  int    // end after so many events; 0: never
	Cursor bool   // at the end print the cursor to continue from
}

// subscribing is the running command.
type subscribing struct {
	SubscribeOptions
	Streams
	from *client.Client

	connected bool // at least once
	events    int
}

// Subscribe prints events until ctx ends or Count is reached. It reports losses and the
// state of the connection on stderr.
func Subscribe(ctx context.Context, b Broker, o SubscribeOptions, s Streams) error {
	calls := b.HTTP(1)
	defer calls.CloseIdleConnections()
	c := client.New(b.Base()+"/ws?"+url.Values{"topic": o.Topics}.Encode(), &client.Options{
		HTTPClient: calls, Header: b.Header(), After: o.After, Last: o.Last, ReadLimit: 4 * maxMessage,
	})
	defer c.Close()
	run := &subscribing{SubscribeOptions: o, Streams: s, from: c}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var unread error
	stop := watchReader(s.Out, func() {
		_, unread = fmt.Fprintln(s.Out) // a failure ends the process, like any write without a reader
		cancel()
	})
	err := run.run(ctx)
	if stop(); err == nil {
		err = unread
	}
	if cursor := c.Cursor(); o.Cursor && cursor != "" {
		fmt.Fprintln(s.Err, "cursor:", cursor)
	}
	return err
}

func (s *subscribing) run(ctx context.Context) error {
	for s.Count == 0 || s.events < s.Count {
		m, err := s.from.Next(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = s.take(m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// take prints a message. It fails if waiting for more is useless.
func (s *subscribing) take(m client.Message) error {
	switch m := m.(type) {
	case *client.Event:
		s.events++
		return s.print(m)
	case *client.Gap:
		fmt.Fprintf(s.Err, "gap: events of %s are lost (%s), between the cursors %s and %s\n",
			printable(strings.Join(m.Topics, ", ")), printable(m.Reason), printable(m.From), printable(m.To))
	case *client.Connected:
		if s.connected || s.ErrTerminal {
			fmt.Fprintf(s.Err, "connected as %s\n", printable(m.Handle))
		}
		s.connected = true
	case *client.Disconnected:
		if refused, ok := errors.AsType[*client.HandshakeError](m.Err); ok && !s.connected && final(refused.Status) {
			return m.Err
		}
		fmt.Fprintf(s.Err, "not connected: %s; trying again in %v\n", printable(m.Err.Error()), m.RetryIn.Round(time.Millisecond))
	}
	return nil
}

// final reports whether a failed handshake would fail again in the same way.
func final(status int) bool {
	return status == http.StatusSwitchingProtocols || status >= 300 && status < 500 &&
		status != http.StatusTooManyRequests && status != http.StatusRequestTimeout
}

// print prints an event.
func (s *subscribing) print(e *client.Event) error {
	if s.JSON {
		return printJSON(s.Out, struct {
			Topic  string          `json:"topic"`
			ID     string          `json:"id"`
			UserID string          `json:"user_id,omitempty"`
			Time   time.Time       `json:"time"`
			Data   json.RawMessage `json:"data"`
			Cursor string          `json:"cursor"`
		}{e.Topic, e.ID, e.UserID, e.Time, e.Data, e.Cursor})
	}
	var text string
	if json.Unmarshal(e.Data, &text) != nil || e.Data[0] != '"' {
		text = string(e.Data)
	}
	topic := printable(e.Topic)
	if s.Colour {
		topic = "\x1b[36m" + topic + "\x1b[0m"
	}
	_, err := fmt.Fprintf(s.Out, "%s %s %s\n", e.Time.Local().Format("15:04:05.000"), topic, printable(text))
	return err
}
