package client_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"nhooyr.io/websocket"

	"belfry/client"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// Connecting, and coming back.

// disconnected waits for the news that a connection is lost.
func (r *reader) disconnected() *client.Disconnected {
	r.t.Helper()
	for {
		m, err := r.next()
		if err != nil {
			r.t.Fatal(err)
		}
		if d, ok := m.(*client.Disconnected); ok {
			return d
		}
	}
}

func TestCloseCodes(t *testing.T) {
	const least, most = time.Second, 8 * time.Second
	for _, test := range []struct {
		code        int
		from, to    time.Duration // of the pause
		end, ticket bool          // it is the end; it is unless there is another URL
	}{
		{code: 1000, to: least},
		{code: 1008, to: least},
		{code: 1012, to: least},
		{code: 1013, to: least},
		{code: 3999, to: least},
		{code: 4000, end: true, ticket: true},
		{code: 4001, end: true},
		{code: 4002, end: true},
		{code: 4003, end: true, ticket: true},
		{code: 4004, end: true, ticket: true},
		{code: 4099, end: true},
		{code: 4100, from: least, to: 2 * least},
		{code: 4199, from: least, to: 2 * least},
		{code: 4200},
		{code: 4299},
		{code: 4300, to: least},
	} {
		for _, tickets := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d, tickets %t", test.code, tickets), func(t *testing.T) {
				bubble(t, func(t *testing.T, s *stage) {
					given := 0
					o := client.Options{MinBackoff: least, MaxBackoff: most}
					var c *reader
					if tickets {
						c = s.openFunc(func(context.Context) (string, error) {
							given++
							return fmt.Sprintf("ws://broker/ws/%d", given), nil
						}, o)
					} else {
						c = s.openStatic("ws://broker/ws/1", o)
					}
					p := s.next()
					p.welcomeUser("c1")
					p.close(test.code, "why")
					c.expect("connected []")
					if test.end && !(test.ticket && tickets) {
						closed, ok := errors.AsType[*client.CloseError](c.ends())
						if !ok || closed.Code != test.code || closed.Reason != "why" || !closed.Permanent() {
							t.Error(closed)
						}
						return
					}
					d := c.disconnected()
					if closed, ok := errors.AsType[*client.CloseError](d.Err); !ok || closed.Code != test.code {
						t.Error(d.Err)
					}
					if d.RetryIn < test.from || d.RetryIn > test.to {
						t.Errorf("it comes back in %v, want %v to %v", d.RetryIn, test.from, test.to)
					}
					began := time.Now()
					want := "/ws/1"
					if test.ticket {
						want = "/ws/2"
					}
					if p := s.next(); p.url.Path != want || time.Since(began) != d.RetryIn || p.url.RawQuery != "after=c1" {
						t.Errorf("it comes back to %s after %v, want %s after %v", p.url, time.Since(began), want, d.RetryIn)
					}
				})
			})
		}
	}
}

// TestBackoff: the pauses grow, and are short again after a connection that
// was good for something.
func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.setDown(true)
		c := s.openStatic("ws://broker/ws", client.Options{MinBackoff: time.Second, MaxBackoff: 5 * time.Second})
		limits := []time.Duration{1, 2, 4, 5, 5, 5}
		rounds := func() {
			t.Helper()
			for i, limit := range limits {
				d := c.disconnected()
				if !errors.Is(d.Err, errDown) || strings.Contains(d.Err.Error(), "broker") || d.RetryIn <= 0 || d.RetryIn > limit*time.Second {
					t.Errorf("failure %d: %v, again in %v, want at most %v", i, d.Err, d.RetryIn, limit*time.Second)
				}
			}
		}
		rounds()
		s.setDown(false)
		p := s.next()
		p.welcome("c1")
		time.Sleep(4 * time.Second)
		p.close(4200, "")
		c.expect("connected []")
		if d := c.disconnected(); d.RetryIn == 0 {
			t.Error("it comes back at once, to a broker that has not been there for long")
		}
		p = s.next()
		p.welcome("c1")
		time.Sleep(6 * time.Second)
		s.setDown(true)
		p.close(4200, "")
		c.expect("connected []")
		if d := c.disconnected(); d.RetryIn != 0 {
			t.Errorf("it comes back in %v, want at once", d.RetryIn)
		}
		limits = []time.Duration{2, 4, 5}
		rounds()
	})
}

// TestReconnectAfter: the broker says when.
func TestReconnectAfter(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{})
		for _, welcome := range []bool{true, false} { // a broker without room says it first
			p := s.next()
			if welcome {
				p.welcome("c1")
			}
			p.say(`{"type":"closing","reason":"draining","reconnect_after_ms":1234,"cursor":"c1"}`)
			p.close(1012, "draining")
			if d := c.disconnected(); d.RetryIn != 1234*time.Millisecond {
				t.Errorf("in %v", d.RetryIn)
			}
		}
		p := s.next()
		p.say(`{"type":"closing","reconnect_after_ms":9223372036854775807}`)
		p.cut()
		if d := c.disconnected(); d.RetryIn != time.Hour {
			t.Errorf("in %v", d.RetryIn)
		}
		s.next()
	})
}

// TestReconnectAfterNoTime: less than no time is none.
func TestReconnectAfterNoTime(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{})
		p := s.next()
		p.say(`{"type":"closing","reconnect_after_ms":-1}`)
		p.close(1012, "")
		if d := c.disconnected(); d.RetryIn != 0 {
			t.Errorf("in %v", d.RetryIn)
		}
		s.next()
	})
}

type permanentError struct{ error }

func (e permanentError) Unwrap() error { return e.error }

func (permanentError) Permanent() bool { return true }

// TestTickets: an error of the URL function is a failure like others, unless
// it says otherwise.
func TestTickets(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		failure := errors.New("no ticket today")
		calls := 0
		c := s.openFunc(func(context.Context) (string, error) {
			calls++
			switch calls {
			case 1:
				return "", failure
			case 2:
				return "ws://broker/ws/2", nil
			}
			return "", fmt.Errorf("ask: %w", permanentError{failure})
		}, client.Options{})
		if d := c.disconnected(); !errors.Is(d.Err, failure) || d.RetryIn <= 0 {
			t.Errorf("%+v", d)
		}
		p := s.next()
		p.cut()
		c.expect("disconnected")
		p = s.next()
		p.welcomeUser("c1")
		p.close(4004, "unknown_client")
		c.expect("connected []", "disconnected")
		if err := c.ends(); !errors.Is(err, failure) || calls != 3 {
			t.Error(err, calls)
		}
	})
}

func TestNoURL(t *testing.T) {
	for _, address := range []string{"://secret", "ftp://host/secret", "/ws/secret", "ws://host/?a=%zzsecret"} {
		t.Run(address, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				if err := s.openStatic(address, client.Options{}).ends(); strings.Contains(err.Error(), "secret") {
					t.Errorf("it tells the secret: %v", err)
				}
			})
		})
	}
}

func TestHandshakeRefused(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		s.setRefuse(func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "sesame" {
				t.Errorf("header %v", r.Header)
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		c := s.openStatic("ws://broker/ws/secret", client.Options{Header: http.Header{"Authorization": {"sesame"}}})
		d := c.disconnected()
		if h, ok := errors.AsType[*client.HandshakeError](d.Err); !ok || h.Status != 503 || strings.Contains(h.Error(), "secret") {
			t.Error(d.Err)
		}
		s.setRefuse(func(w http.ResponseWriter, r *http.Request) { // the bare protocol
			conn, err := websocket.Accept(w, r, nil)
			if err != nil {
				t.Error(err)
				return
			}
			_ = conn.CloseNow() // that much was enough
		})
		d = c.disconnected()
		if h, ok := errors.AsType[*client.HandshakeError](d.Err); !ok || h.Status != 101 {
			t.Error(d.Err)
		}
		s.setRefuse(nil)
		s.next().welcome("c1")
		c.expect("connected []")
	})
}

// TestStranger: something else than belfry.v1 is spoken at the other end.
func TestStranger(t *testing.T) {
	for name, say := range map[string]func(*peer){
		"event first":   func(p *peer) { p.try(event("a", "c1")) },
		"no JSON":       func(p *peer) { p.try("hello") },
		"no object":     func(p *peer) { p.try(`["welcome"]`) },
		"twice":         func(p *peer) { p.try(`{"type":"welcome","type":"welcome"}`) },
		"not UTF-8":     func(p *peer) { p.try("{\"type\":\"welcome\",\"handle\":\"\xff\"}") },
		"a binary one":  func(p *peer) { _ = p.socket.Write(context.Background(), 2, []byte(`{"type":"welcome"}`)) },
		"too much JSON": func(p *peer) { p.try(`{"type":"welcome"}{}`) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				c := s.openStatic("ws://broker/ws", client.Options{})
				say(s.next())
				if d := c.disconnected(); !errors.Is(d.Err, client.ErrProtocol) {
					t.Error(d.Err)
				}
				s.next()
			})
		})
	}
}

// TestCutMessage: the beginning of a message is not a message, wherever it ends.
func TestCutMessage(t *testing.T) {
	whole := event("a", "c2")
	for cut := 1; cut < len(whole)+2; cut++ {
		t.Run(fmt.Sprint(cut), func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				c := s.openStatic("ws://broker/ws", client.Options{})
				p := s.next()
				p.welcome("c1")
				frame := append([]byte{0x81, 126, 0, byte(len(whole))}, whole...)
				if _, err := p.raw.Write(frame[:cut+2]); err != nil {
					t.Fatal(err)
				}
				p.cut()
				c.expect("connected []", "disconnected")
				s.next().begins("after=c1")
			})
		})
	}
}

func TestReadLimit(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{ReadLimit: 2000})
		p := s.next()
		p.welcome("c1")
		p.say(event(strings.Repeat("x", 900), "c2"))
		p.try(event(strings.Repeat("x", 1000), "c2"))
		if _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.next(); err != nil {
			t.Fatal(err)
		}
		if large, ok := errors.AsType[*client.TooLargeError](c.ends()); !ok || large.Limit != 2000 {
			t.Error(large)
		}
	})
}

// TestDialTimeout: a broker that accepts and says nothing.
func TestDialTimeout(t *testing.T) {
	for name, refuse := range map[string]http.HandlerFunc{
		"no handshake": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no welcome":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				s.setRefuse(refuse)
				began := time.Now()
				c := s.openStatic("ws://broker/ws", client.Options{DialTimeout: 3 * time.Second})
				d := c.disconnected()
				if waited := time.Since(began); waited != 3*time.Second {
					t.Errorf("%v after %v", d.Err, waited)
				}
				if !errors.Is(d.Err, client.ErrSilent) && !errors.Is(d.Err, context.DeadlineExceeded) {
					t.Error(d.Err)
				}
			})
		})
	}
}
