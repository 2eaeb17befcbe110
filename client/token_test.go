package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/client"
)

// TestNoHurry: a broker that has clients come back at once, and then ends each connection,
// is not dialed without a pause.
func TestNoHurry(t *testing.T) {
	t.Parallel()
	bubble := func(t *testing.T, lasted time.Duration, most int) {
		bubble(t, func(t *testing.T, s *stage) {
			s.openStatic("ws://b/ws?topic=a", client.Options{})
			begun := time.Now()
			for time.Since(begun) < 10*time.Minute {
				p := s.next()
				p.welcome("c1", "a")
				time.Sleep(lasted)
				p.say(`{"type":"closing","reason":"draining","reconnect_after_ms":0,"cursor":"c1"}`)
				p.close(1012, "draining")
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.dials > most {
				t.Errorf("it has dialed %d times in ten minutes, want at most %d", s.dials, most)
			}
		})
	}
	t.Run("at once", func(t *testing.T) { bubble(t, 0, 100) })
	t.Run("after a while", func(t *testing.T) { bubble(t, 6*time.Second, 101) })
}

// TestNoWelcome: a connection without a welcome has failed, however long it lasted.
func TestNoWelcome(t *testing.T) {
	for name, serve := range map[string]func(*peer){
		"silent": func(p *peer) { <-p.ended },
		"in no hurry": func(p *peer) {
			time.Sleep(9 * time.Second)
			p.say(`{"type":"closing","reason":"draining","reconnect_after_ms":0}`)
			p.close(1012, "draining")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				s.openStatic("ws://b/ws?topic=a", client.Options{})
				begun := time.Now()
				for time.Since(begun) < 10*time.Minute {
					serve(s.next())
				}
				s.mu.Lock()
				defer s.mu.Unlock()
				if s.dials > 45 {
					t.Errorf("it has dialed %d times in ten minutes, want at most 45", s.dials)
				}
			})
		})
	}
}

// TestClosingWithoutTime: a broker that does not say when to come back is not dialed at once.
func TestClosingWithoutTime(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		r := s.openStatic("ws://b/ws?topic=a", client.Options{})
		p := s.next()
		p.welcome("c1", "a")
		p.say(`{"type":"closing","reason":"draining"}`)
		p.close(1012, "draining")
		if d := r.disconnected(); d.RetryIn == 0 {
			t.Error("it comes back at once")
		}
	})
}

// A tokenBroker takes tokens that are times at which they end, and tells of the end as the
// broker does: a minute before, or at once.
func tokenBroker(s *stage, until time.Time) {
	over, cancel := context.WithDeadline(context.Background(), until)
	defer cancel()
	for {
		var p *peer
		select {
		case p = <-s.arrivals:
		case <-over.Done():
			return
		}
		end, err := time.Parse(time.RFC3339Nano, strings.TrimPrefix(p.header.Get("Authorization"), "Bearer "))
		if err != nil || !time.Now().Before(end) {
			p.close(4002, "token_expired")
			continue
		}
		p.welcome("c1", "a")
		serveTokens(p, end, over)
	}
}

// serveTokens serves a connection until its token ends.
func serveTokens(p *peer, end time.Time, over context.Context) {
	p.say(fmt.Sprintf(`{"type":"expiring","expires_in_ms":%d}`, time.Until(end).Milliseconds()))
	heart := time.NewTicker(15 * time.Second)
	defer heart.Stop()
	for {
		select {
		case text := <-p.operations:
			var op struct {
				Op, Token string
				Ref       json.Number
			}
			if json.Unmarshal([]byte(text), &op) != nil || op.Op != "auth" {
				continue
			}
			if next, err := time.Parse(time.RFC3339Nano, op.Token); err == nil && next.After(end) {
				end = next
				p.say(fmt.Sprintf(`{"type":"ack","ref":%s,"cursor":"c1"}`, op.Ref), fmt.Sprintf(`{"type":"expiring","expires_in_ms":%d}`, time.Until(end).Milliseconds()))
			}
		case <-heart.C:
			p.try(`{"type":"heartbeat","cursor":"c1"}`)
		case <-time.After(time.Until(end)):
			p.close(4002, "token_expired")
			<-p.ended
			return
		case <-p.ended:
			return
		case <-over.Done():
			p.cut()
			return
		}
	}
}

// TestTokens: a token is renewed in time, and never in a loop.
func TestTokens(t *testing.T) {
	t.Parallel()
	const span = 10 * time.Minute
	constant := time.Now().Add(time.Hour)
	for name, test := range map[string]struct {
		token       func(calls int) (string, error)
		least, most int // calls
		dials       int // at most
	}{
		"5s":              {lasting(5 * time.Second), 100, 121, 121},
		"20s":             {lasting(20 * time.Second), 50, 61, 1},
		"29s":             {lasting(29 * time.Second), 35, 43, 1},
		"35s":             {lasting(35 * time.Second), 30, 36, 1},
		"45s":             {lasting(45 * time.Second), 24, 28, 1},
		"2m":              {lasting(2 * time.Minute), 5, 11, 1},
		"always the same": {func(int) (string, error) { return constant.Format(time.RFC3339Nano), nil }, 1, 100, 60},
		"ended before":    {lasting(-time.Second), 20, 60, 60},
		"never":           {func(int) (string, error) { return "", errors.New("nobody is there") }, 20, 60, 0},
		"no more": {func(calls int) (string, error) {
			if calls > 1 {
				return "", errors.New("nobody is there")
			}
			return lasting(20 * time.Second)(calls)
		}, 20, 60, 2},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				if name == "always the same" {
					constant = time.Now().Add(20 * time.Second)
				}
				calls := 0
				r := s.openStatic("ws://b/ws?topic=a", client.Options{Header: http.Header{"X-Other": {"1"}}, Token: func(context.Context) (string, error) {
					calls++
					return test.token(calls)
				}})
				end := time.Now().Add(span)
				go func() { // the application
					for {
						if _, err := r.Next(context.Background()); err != nil {
							return
						}
					}
				}()
				tokenBroker(s, end)
				r.Close()
				s.mu.Lock()
				dials := s.dials
				s.mu.Unlock()
				if calls < test.least || calls > test.most || dials > test.dials {
					t.Errorf("%d calls and %d connections in %v, want %d to %d, and at most %d", calls, dials, span, test.least, test.most, test.dials)
				}
			})
		})
	}
}

// lasting gives tokens that last so long.
func lasting(d time.Duration) func(int) (string, error) {
	return func(int) (string, error) { return time.Now().Add(d).Format(time.RFC3339Nano), nil }
}

// TestTokenIsWrong: a token that the broker has never accepted ends the client, one that it
// accepts no longer is replaced.
func TestTokenIsWrong(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		calls := 0
		r := s.openStatic("ws://b/ws?topic=a", client.Options{Token: func(context.Context) (string, error) {
			calls++
			return fmt.Sprint("token", calls), nil
		}})
		p := s.next()
		if got := p.header.Get("Authorization"); got != "Bearer token1" {
			t.Error(got)
		}
		p.welcome("c1", "a")
		r.expect("connected [a]")
		p.close(4002, "revoked")
		r.expect("disconnected")
		p = s.next()
		if got := p.header.Get("Authorization"); got != "Bearer token2" {
			t.Error(got)
		}
		p.close(4002, "credentials_invalid")
		var closed *client.CloseError
		if err := r.ends(); !errors.As(err, &closed) || closed.Code != 4002 {
			t.Error(err)
		}
	})
}

// TestTokenRefusedBefore: a renewal that the broker refuses does not end the client, even if
// the connection is lost before another renewal.
func TestTokenRefusedBefore(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		calls := 0
		r := s.openStatic("ws://b/ws?topic=a", client.Options{Token: func(context.Context) (string, error) {
			calls++
			return fmt.Sprint("token", calls), nil
		}})
		p := s.next()
		p.welcome("c1", "a")
		p.say(`{"type":"expiring","expires_in_ms":20000}`)
		p.expect(`{"op":"auth","token":"token2","ref":9007199254740991}`)
		p.say(`{"type":"error","ref":9007199254740991,"code":"credentials_invalid","detail":"no"}`)
		p.cut()
		r.expect("connected [a]", "disconnected")
		p = s.next()
		p.close(4002, "credentials_invalid")
		r.expect("disconnected")
		p = s.next()
		if got := p.header.Get("Authorization"); got != "Bearer token3" {
			t.Error(got)
		}
		p.welcome("c1", "a")
		r.expect("connected [a]")
	})
}

// TestTokenText: white space around a token, as of a file, is not part of it. What cannot be
// a token is not kept, not sent and not shown.
func TestTokenText(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		texts := []string{"", " \n", "<html>not found", "two words", "a\nb", "\u00e4", " token\r\n", "<html>", "next\n"}
		calls := 0
		r := s.openStatic("ws://b/ws?topic=a", client.Options{Token: func(context.Context) (string, error) {
			calls++
			return texts[calls-1], nil
		}})
		for _, text := range texts[:6] {
			if d := r.disconnected(); text != "" && strings.Contains(d.Err.Error(), text) || d.RetryIn <= 0 {
				t.Errorf("%q: %v, again in %v", text, d.Err, d.RetryIn)
			}
		}
		p := s.next()
		if got := p.header.Get("Authorization"); got != "Bearer token" || calls != 7 || s.dials != 1 {
			t.Errorf("%q after %d calls and %d dials", got, calls, s.dials)
		}
		p.welcome("c1", "a")
		p.say(`{"type":"expiring","expires_in_ms":20000}`)
		time.Sleep(9 * time.Second)
		p.say(`{"type":"heartbeat","cursor":"c1"}`)
		p.expect(`{"op":"auth","token":"next","ref":9007199254740991}`)
	})
}
