package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry/client"
)

//lint:file-ignore SA1019 the library is frozen, and we stay with it: see docs/adr/0007-nhooyr-websocket.md

// Lines that go dead, applications that are slow, and the end.

// TestSilence: a dead line is noticed by the heartbeats that don't come, and
// by a ping that is not answered.
func TestSilence(t *testing.T) {
	const heartbeat = 15 * time.Second // the peer's
	for _, test := range []struct {
		name  string
		o     client.Options
		pings []time.Duration // after the last word
		end   time.Duration
	}{
		{"by default", client.Options{}, []time.Duration{heartbeat * 5 / 4}, heartbeat*5/4 + 10*time.Second},
		{"late", client.Options{PingTimeout: time.Minute}, []time.Duration{heartbeat * 5 / 4}, 2 * heartbeat},
		{"early", client.Options{PingAfter: time.Second, PingTimeout: 2 * time.Second}, []time.Duration{time.Second}, 3 * time.Second},
		{"no pings", client.Options{PingAfter: -1}, nil, 2 * heartbeat},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				c := s.openStatic("ws://broker/ws", test.o)
				p := s.next()
				p.welcome("c1")
				for range 3 { // while something is heard, all is well
					for _, after := range test.pings {
						began := time.Now()
						p.expect(`{"op":"ping"}`)
						if waited := time.Since(began); waited != after {
							t.Errorf("a ping after %v, want %v", waited, after)
						}
					}
					p.say(`{"type":"pong"}`)
				}
				began := time.Now()
				d := c.disconnected()
				if waited := time.Since(began); !errors.Is(d.Err, client.ErrSilent) || waited != test.end {
					t.Errorf("%v after %v, want %v", d.Err, waited, test.end)
				}
			})
		})
	}
}

// TestSlowApplication: it slows down the connection, is not taken for a dead
// line, and misses nothing.
func TestSlowApplication(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		const count = 100
		c := s.openStatic("ws://broker/ws", client.Options{Buffer: 4000})
		p := s.next()
		p.welcome("c000")
		said := 0
		go func() {
			for i := range count {
				p.say(event("a", fmt.Sprintf("c%03d", i+1)))
				said++
			}
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if said < 4 || said > 20 {
			t.Errorf("%d events are taken in advance", said)
		}
		c.expect("connected []")
		for i := range count {
			cursor := fmt.Sprintf("c%03d", i+1)
			c.expect("a " + cursor + " at " + cursor)
		}
		p.cut()
		c.expect("disconnected")
		s.next().begins("after=c100")
	})
}

// TestClose: it says farewell, ends all that waits, and leaves nothing.
func TestClose(t *testing.T) {
	bubble(t, func(t *testing.T, s *stage) {
		c := s.openStatic("ws://broker/ws", client.Options{})
		p := s.next()
		p.welcome("c1")
		p.say(event("a", "c2"))
		c.expect("connected []")
		r := c.subscribe(client.Subscription{Topics: []string{"a"}})
		ended := make(chan error, 2)
		go func() { ended <- r.Wait(context.Background()) }()
		synctest.Wait()
		began := time.Now()
		c.Close()
		c.Close()
		if waited := time.Since(began); waited != 0 {
			t.Errorf("closing takes %v", waited)
		}
		if err := <-ended; err != client.ErrClosed {
			t.Error(err)
		}
		if err := c.ends(); err != client.ErrClosed {
			t.Error(err)
		}
		if _, err := c.Subscribe(client.Subscription{Topics: []string{"a"}}); err != client.ErrClosed {
			t.Error(err)
		}
		if err := <-p.ended; !strings.Contains(err.Error(), "1000") && !strings.Contains(err.Error(), "StatusNormalClosure") {
			t.Errorf("the broker sees %v", err)
		}
	})
}

// TestCloseAnyTime: whatever the client does.
func TestCloseAnyTime(t *testing.T) {
	for name, prepare := range map[string]func(*stage, *reader){
		"waiting for the next attempt": func(s *stage, c *reader) { s.next().cut(); c.expect("disconnected") },
		"connecting":                   func(*stage, *reader) {},
		"in the handshake": func(s *stage, c *reader) {
			p := s.next()
			s.setRefuse(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
			p.cut()
			c.expect("disconnected")
			time.Sleep(time.Second)
		},
		"full": func(s *stage, _ *reader) {
			p := s.next()
			p.welcome("c1")
			go func() {
				for p.socket.Write(context.Background(), 1, []byte(event("a", "c2"))) == nil {
				}
			}()
		},
		"to a deaf broker": func(s *stage, _ *reader) {
			p := s.next()
			s.setRefuse(func(w http.ResponseWriter, r *http.Request) {
				conn, _, _ := w.(http.Hijacker).Hijack()
				_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Protocol: belfry.v1\r\nSec-WebSocket-Accept: "+
					accept(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
				s.t.Cleanup(func() { _ = conn.Close() })
			})
			p.cut()
			time.Sleep(time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, s *stage) {
				c := s.openStatic("ws://broker/ws", client.Options{Buffer: 2000})
				prepare(s, c)
				synctest.Wait()
				began := time.Now()
				c.Close()
				if waited := time.Since(began); waited > time.Second {
					t.Errorf("closing takes %v", waited)
				}
				if err := c.ends(); err != client.ErrClosed {
					t.Error(err)
				}
			})
		})
	}
}
