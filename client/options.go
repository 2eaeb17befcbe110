package client

import (
	"cmp"
	"net/http"
	"time"
)

// Options are settings of a [Client]. The zero value of each means its default.
type Options struct {
	// After is the cursor to begin behind: what [Client.Cursor] has said in an
	// earlier life. Without it, and without a cursor in the URL, the client
	// begins with what is published from now on, or where the broker knows its
	// registration to have come to.
	After string
	// Last makes the client begin with the newest events of each topic of its
	// URL, so many (1 to 1,000). It counts only without After.
	Last int

	// HTTPClient makes the handshakes; http.DefaultClient by default.
	HTTPClient *http.Client
	// Header is sent with each handshake, such as Authorization for a proxy.
	Header http.Header

	// DialTimeout bounds connecting, up to the broker's welcome; 10s by
	// default.
	DialTimeout time.Duration
	// PingAfter is the silence after which the broker is asked for a sign of
	// life; by default a quarter more than the time between its heartbeats,
	// so that a broker that is well is not asked. Negative is never.
	PingAfter time.Duration
	// PingTimeout is how long that may take; 10s by default.
	PingTimeout time.Duration

	// MinBackoff and MaxBackoff bound the pause before the next attempt: it is
	// a random part of MinBackoff (500ms by default), of twice that after a
	// second failure, and so on up to MaxBackoff (30s by default).
	MinBackoff, MaxBackoff time.Duration

	// ReadLimit is the largest message that is accepted, in bytes of JSON;
	// 1 MiB by default, which holds any message of a broker with its default
	// max_message of 64 KiB.
	ReadLimit int64
	// Buffer bounds what was received and not yet returned by [Client.Next],
	// in bytes; 1 MiB by default. Above it the client reads no more from the
	// connection. A single message may always wait.
	Buffer int
	// ReplayMemory is how many events of a replay are remembered, by a hash each,
	// until it is over, so that none comes twice if the connection is cut;
	// 65,536 by default (about 4 MiB). What a longer one comes to is said at
	// [Restart].
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
