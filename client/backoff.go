package client

import (
	"errors"
	"math/rand/v2"
	"time"
)

// stable is how long a connection must have lasted for its end not to count as another
// failure.
const stable = 5 * time.Second

// A backoff decides when to reconnect.
type backoff struct {
	least, most time.Duration // static
	failures    int           // in a row
}

// An ending describes the end of a connection or a failed attempt to connect.
type ending struct {
	err    error
	lasted time.Duration  // from the welcome on; 0 without one
	after  *time.Duration // when to reconnect, if the broker said so
}

// next returns how long to wait before the next attempt.
func (b *backoff) next(e ending, renewed bool) time.Duration {
	if e.lasted >= stable {
		b.failures = 0
	}
	first := b.failures == 0
	b.failures++
	var closed *CloseError
	switch code := 0; {
	case e.after != nil && first:
		return *e.after
	case e.after != nil:
		return max(*e.after, b.jitter()) // a broker that ends each connection is not to be hurried
	case errors.As(e.err, &closed):
		code = closed.Code
		switch {
		case first && (renewed || code >= 4200 && code <= 4299):
			return 0
		case code >= 4100 && code <= 4199:
			return b.least + b.jitter()
		}
	}
	return b.jitter()
}

// jitter returns a random part of the pause, so that clients that lost their connections
// together do not return together.
func (b *backoff) jitter() time.Duration {
	pause := max(1, min(b.least, b.most))
	for i := 1; i < b.failures && pause < b.most; i++ {
		pause += min(pause, b.most-pause) // doubled, without overflow
	}
	return rand.N(pause) + 1
}
