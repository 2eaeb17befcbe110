package client

import (
	"cmp"
	"context"
	"net/http"
	"time"
)

// Options configure a [Client]. Zero values mean defaults.
type Options struct {
	// After is the cursor to start after: the [Client.Cursor] of an earlier client.
	// Without it, and without a cursor in the URL, a registration continues where the
	// broker knows it to be. Other clients start with live events.
	After string
	// Last starts the client with the newest events of each topic of its URL, so many (1
	// to 1,000). After overrides it.
	Last int

	// HTTPClient makes the handshakes; http.DefaultClient by default.
	HTTPClient *http.Client
	// Header is sent with each handshake, such as Authorization for a proxy.
	Header http.Header

	// Token returns a token (see docs/tokens.md) to connect with. It is called before the
	// first connection, before the token ends, and when the broker no longer accepts the
	// token. The client keeps the token for other connections. A call's context ends after
	// 30 seconds, and with the connection: return then. White space around the token is
	// ignored.
	//
	// Return a new token each time, of two minutes or more. During a connection, a token that
	// was asked for less than a minute ago is renewed when half of its time is over, and after
	// 5 seconds at the earliest.
	//
	// An error counts as a failed attempt to connect, as one of the URL function does. While
	// there is a connection it means another call, until the connection ends.
	Token func(context.Context) (string, error)

	// DialTimeout bounds connecting, up to the broker's welcome; 10s by
	// default.
	DialTimeout time.Duration
	// PingAfter is the silence after which the client pings the broker. The default is the
	// interval of the broker's heartbeats and a quarter, so that a healthy broker is not
	// pinged. A negative value disables it.
	PingAfter time.Duration
	// PingTimeout is how long the answer may take; 10s by default.
	PingTimeout time.Duration

	// MinBackoff and MaxBackoff bound the pause before the next attempt. It is a random
	// part of MinBackoff (500ms by default), of twice that after a second failure, and so
	// on up to MaxBackoff (30s by default).
	MinBackoff, MaxBackoff time.Duration

	// ReadLimit is the largest accepted message, in bytes of JSON; 1 MiB by default. That
	// is enough for a broker with the default max_message of 64 KiB.
	ReadLimit int64
	// Buffer bounds what was received but not yet returned by [Client.Next], in bytes; 1
	// MiB by default. When it is full the client stops reading. A single message may
	// always wait.
	Buffer int
	// ReplayMemory is how many events of a replay are remembered, by a hash each, until it
	// is over. So no event comes twice if the connection is cut. The default is 65,536
	// (about 4 MiB). For longer replays see [Restart].
	ReplayMemory int
}

// settings returns options with defaults in place of zeros.
func settings(o *Options) Options {
	if o == nil {
		o = &Options{}
	}
	s := *o
	s.Header = s.Header.Clone()
	s.HTTPClient = cmp.Or(s.HTTPClient, http.DefaultClient)
	s.DialTimeout = cmp.Or(s.DialTimeout, 10*time.Second)
	s.PingTimeout = cmp.Or(s.PingTimeout, 10*time.Second)
	s.MinBackoff = cmp.Or(s.MinBackoff, 500*time.Millisecond)
	s.MaxBackoff = max(cmp.Or(s.MaxBackoff, 30*time.Second), s.MinBackoff)
	s.ReadLimit = cmp.Or(s.ReadLimit, 1<<20)
	s.Buffer = cmp.Or(s.Buffer, 1<<20)
	s.ReplayMemory = cmp.Or(s.ReplayMemory, 1<<16)
	return s
}
