package client

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// How a client renews its token. They are those of the client for pages.
const (
	tokenTimeout  = 30 * time.Second // how long Options.Token may take
	recently      = time.Minute      // a token that was asked for so short a time ago is not renewed at once
	shortestPause = 5 * time.Second  // between two renewals
)

// A credential is the token of a client, and how it gets the next one.
type credential struct {
	ask func(context.Context) (string, error) // nil: the client has no tokens

	mu    sync.Mutex
	token string    // "": the next connection asks for one
	used  bool      // the broker has accepted it, or the one that it renews
	asked time.Time // when it was asked for last
}

var errNoToken = errors.New("Options.Token returned a text that is not a token; check the answer of your issuer first")

// get returns the token to connect with.
func (k *credential) get(ctx context.Context) (string, error) {
	k.mu.Lock()
	token := k.token
	k.mu.Unlock()
	if token != "" || k.ask == nil {
		return token, nil
	}
	return k.renew(ctx)
}

// renew asks for another token.
func (k *credential) renew(ctx context.Context) (string, error) {
	k.mu.Lock()
	k.asked = time.Now()
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	token, err := k.ask(ctx)
	if err != nil {
		return "", err
	}
	token = strings.TrimSpace(token) // a file ends with a line break
	if token == "" || strings.ContainsFunc(token, notOfToken) {
		return "", errNoToken
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.token = token
	return token, nil
}

// notOfToken reports whether a rune cannot be in a token. A page that says "not found" has
// some of these.
func notOfToken(c rune) bool { return c <= ' ' || c > '~' || strings.ContainsRune(`<>"`, c) }

// accepted says that the broker has taken the token.
func (k *credential) accepted() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.used = true
}

// pause returns how long to wait before a token is renewed that ends in the given time:
// not at all, but if one was asked for recently, half of that. So a token that ends no
// later, as from a cache, makes no loop.
func (k *credential) pause(left time.Duration) time.Duration {
	k.mu.Lock()
	defer k.mu.Unlock()
	if time.Since(k.asked) < recently {
		return max(shortestPause, left/2)
	}
	return 0
}

// ended reports whether a connection ended because its token did, and forgets the token
// then. What was accepted and is not any more is like what has ended; a new token that is
// not accepted is wrong.
func (k *credential) ended(err error) bool {
	var closed *CloseError
	if k.ask == nil || !errors.As(err, &closed) || closed.Code != CodeForbidden {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if closed.Reason != "token_expired" && !(k.used && slices.Contains([]string{"revoked", "credentials_invalid"}, closed.Reason)) {
		return false
	}
	k.token, k.used = "", false
	return true
}

// A renewal renews the token of a session before it ends. The reader owns it.
type renewal struct {
	stop context.CancelFunc // nil: none is under way
	of   sync.WaitGroup
}

// renewToken begins to renew the token of the session, which ends in the given time. It
// asks again until the broker has accepted one.
func (s *session) renewToken(left time.Duration) {
	s.renewal.end()
	k := &s.client.credential
	if k.ask == nil {
		return
	}
	ctx, stop := context.WithCancel(s.ctx)
	s.renewal.stop = stop
	s.renewal.of.Go(func() {
		for end := time.Now().Add(left); ; {
			pause := k.pause(time.Until(end))
			if pause >= time.Until(end) || !sleep(ctx, pause) {
				return
			}
			token, err := k.renew(ctx)
			if err != nil {
				continue // the end of the connection tells it, unless another attempt succeeds
			}
			text, err := operation{Op: "auth", Token: token, Ref: authRef}.text()
			if err != nil || !s.send(text) {
				return
			}
		}
	})
}

// end ends a renewal that is under way. Its call of [Options.Token] may last longer.
func (r *renewal) end() {
	if r.stop != nil {
		r.stop()
	}
}

// authRef is the ref of what renews a token: a number that no other request gets.
const authRef = 1<<53 - 1

// sleep reports false if ctx ends first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
