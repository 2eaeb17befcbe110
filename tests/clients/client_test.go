package clients_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/client"
	"belfry/tests/harness"
)

// The Go client against the real broker, over lines that break all the time.

// A weakLine is a connection that breaks after so many bytes from the broker,
// wherever that is in a message.
type weakLine struct {
	net.Conn
	left int
}

func (w *weakLine) Read(p []byte) (int, error) {
	if w.left == 0 {
		_ = w.Conn.Close() // the error is the end that follows
		return 0, io.EOF
	}
	n, err := w.Conn.Read(p[:min(len(p), w.left)])
	w.left -= n
	return n, err
}

// weakLines makes HTTP connections, the first count of which break after 200 to
// most bytes.
func weakLines(t *testing.T, count, most int) *http.Client {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(3, uint64(most)))
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var d net.Dialer
		conn, err := d.DialContext(ctx, network, address)
		if err != nil {
			return nil, err
		}
		mu.Lock()
		defer mu.Unlock()
		if count--; count < 0 {
			return conn, nil
		}
		return &weakLine{conn, 200 + random.IntN(most-200)}, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// follow makes a client that comes back quickly.
func follow(b *harness.Broker, t *testing.T, url func(context.Context) (string, error), o client.Options) *client.Client {
	o.MinBackoff, o.MaxBackoff = time.Millisecond, 5*time.Millisecond
	c := client.NewFunc(url, &o)
	t.Cleanup(c.Close)
	return c
}

// next returns the client's next message that is not about the connection.
func next(t *testing.T, c *client.Client) client.Message {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	for {
		m, err := c.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch m.(type) {
		case *client.Connected, *client.Disconnected:
		default:
			return m
		}
	}
}

// acked waits for the acknowledgement of what was asked for last.
func acked(t *testing.T, c *client.Client, r *client.Request) {
	t.Helper()
	for {
		if ack, ok := next(t, c).(*client.Ack); ok && ack.Request == r {
			return
		}
	}
}

func subscribe(t *testing.T, c *client.Client, s client.Subscription) *client.Request {
	t.Helper()
	r, err := c.Subscribe(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// numbersSeen checks that every number comes once.
type numbersSeen struct {
	t        *testing.T
	directed bool // those for the user 1 come, too
	ordered  bool // across topics
	all      map[int]bool
	last     [3]int // of each topic
	highest  int    // of all
}

func (n *numbersSeen) take(e *client.Event) {
	n.t.Helper()
	number, err := strconv.Atoi(string(e.Data[1 : len(e.Data)-1]))
	topic := number % 3
	switch {
	case err != nil || e.Topic != fmt.Sprintf("n.%d", topic) || (e.UserID == "1") != (number%5 == 0):
		n.t.Fatalf("what is this: %+v", e)
	case n.all[number]:
		n.t.Fatalf("%d comes twice", number)
	case number < n.last[topic] || n.ordered && number < n.highest:
		n.t.Fatalf("%d comes after %d (of its topic) and %d", number, n.last[topic], n.highest)
	}
	n.all[number] = true
	n.last[topic], n.highest = number, max(n.highest, number)
}

// whole reports whether all numbers up to a last one have come.
func (n *numbersSeen) whole(last int) bool {
	for i := last; i > 0; i-- {
		if !n.all[i] && (n.directed || i%5 != 0) {
			return false
		}
	}
	return true
}

// TestClientNumbers: while numbers are published as fast as can be, a client's
// line breaks again and again. It gets every number once, in order, by topics
// of its URL or registration and by those that it has added.
func TestClientNumbers(t *testing.T) {
	t.Parallel()
	const least = 1000 // numbers
	for _, test := range []struct {
		name   string
		window string
		line   int      // bytes that it carries at most
		topics []string // that are added
		path   func(t *testing.T, b *harness.Broker) string
		seen   numbersSeen
	}{
		{"no registration", "30s", 6000, []string{"n.1", "*.2"}, func(*testing.T, *harness.Broker) string { return "/ws?topic=n.0" }, numbersSeen{ordered: true}},
		{"one registration", "30s", 6000, []string{"n.1", "*.2"}, func(t *testing.T, b *harness.Broker) string {
			return b.Register(t, `{"user_id": 1, "topics": ["n.0"]}`).Path
		}, numbersSeen{ordered: true, directed: true}},
		{"a registration each time", "0s", 60_000, []string{"n.1", "*.2", "n.>"}, func(t *testing.T, b *harness.Broker) string {
			return b.Register(t, `{"user_id": 1, "topics": ["n.0", "*.1"]}`).Path
		}, numbersSeen{directed: true}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--history-events=100000", "--resume-window="+test.window)
			c := follow(b, t, func(context.Context) (string, error) { return "ws://" + b.Addr + test.path(t, b), nil },
				client.Options{HTTPClient: weakLines(t, 1000, test.line)})
			acked(t, c, subscribe(t, c, client.Subscription{Topics: test.topics}))
			source := b.PublishNumbers(t)
			seen := test.seen
			seen.t, seen.all = t, make(map[int]bool)
			for done := false; !done; {
				switch m := next(t, c).(type) {
				case *client.Event:
					seen.take(m)
				case *client.Ack:
				default:
					t.Fatalf("%T %+v", m, m)
				}
				if len(seen.all) >= least {
					source.Mu.Lock()
					source.Stop = true
					done = seen.whole(source.Last)
					source.Mu.Unlock()
				}
			}
			t.Logf("%d numbers, %v connections", len(seen.all), b.Metric(t, `belfry_connections_opened_total`))
		})
	}
}

// TestClientReplay: a replay that is cut again and again gives every event
// once, and then the client goes on live, without a hole.
func TestClientReplay(t *testing.T) {
	t.Parallel()
	for _, window := range []string{"30s", "0s"} {
		t.Run("window "+window, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, "--history-events=100000", "--resume-window="+window)
			first := b.Publish(t, harness.Event("before", "the first one"))
			source := b.PublishNumbers(t)
			source.Wait(400)
			c := follow(b, t, func(context.Context) (string, error) {
				return b.Register(t, `{"user_id": 1, "topics": []}`).URL, nil
			}, client.Options{HTTPClient: weakLines(t, 30, 60_000)})
			r := subscribe(t, c, client.Subscription{Topics: []string{"n.>"}, After: first.Cursor})
			seen := numbersSeen{t: t, directed: true, ordered: true, all: make(map[int]bool)}
			acks, live := 0, 0
			for done := false; !done; {
				switch m := next(t, c).(type) {
				case *client.Event:
					if live == 0 && m.Replay != r || live > 0 && m.Replay != nil {
						t.Fatalf("after %d live: %+v", live, m)
					}
					seen.take(m)
				case *client.Ack:
					acks++
				case *client.Live:
					live++
				default:
					t.Fatalf("%T %+v", m, m)
				}
				if live > 0 && len(seen.all) >= 600 {
					source.Mu.Lock()
					source.Stop = true
					done = seen.whole(source.Last)
					source.Mu.Unlock()
				}
			}
			t.Logf("%d numbers, %v connections", len(seen.all), b.Metric(t, `belfry_connections_opened_total`))
			if acks != 1 || live != 1 {
				t.Errorf("%d acks, %d live", acks, live)
			}
		})
	}
}

// TestClientRefusals: what the broker says no to.
func TestClientRefusals(t *testing.T) {
	t.Parallel()
	b := harness.Start(t)
	r := b.Register(t, `{"user_id": 1}`)
	c := client.New(r.URL, nil)
	defer c.Close()
	for topic, code := range map[string]client.Code{"a..b": client.InvalidTopic, "$x": client.TopicReserved} {
		subscribe(t, c, client.Subscription{Topics: []string{topic}})
		if no, ok := next(t, c).(*client.Refused); !ok || !errors.Is(no, code) {
			t.Errorf("%s: %v", topic, no)
		}
	}
	subscribe(t, c, client.Subscription{Topics: []string{"a"}, After: "no cursor"})
	if no, ok := next(t, c).(*client.Refused); !ok || !errors.Is(no, client.InvalidCursor) {
		t.Error(no)
	}
	b.Unregister(t, r)
	_, err := c.Next(t.Context())
	for err == nil {
		_, err = c.Next(t.Context())
	}
	if closed, ok := errors.AsType[*client.CloseError](err); !ok || closed.Code != client.CodeUnregistered || !closed.Permanent() {
		t.Error(err)
	}
	if _, err := c.Subscribe(client.Subscription{Topics: []string{"a"}}); !errors.As(err, new(*client.CloseError)) {
		t.Error(err)
	}
}

// TestClientSlow: an application that takes nothing for a while is closed by
// the broker, and gets everything when it is back.
func TestClientSlow(t *testing.T) {
	t.Parallel()
	const count = 200
	b := harness.Start(t, "--history-events=1000", "--client-queue-bytes=131072")
	c := client.New("ws://"+b.Addr+"/ws?topic=n", &client.Options{Buffer: 50_000, MinBackoff: time.Millisecond})
	defer c.Close()
	if m, err := c.Next(t.Context()); err != nil {
		t.Fatal(m, err)
	}
	padding := strings.Repeat("x", 40_000)
	for i := range count {
		b.Publish(t, harness.Event("n", fmt.Sprint(i, padding)))
	}
	for i := range count {
		e, ok := next(t, c).(*client.Event)
		if !ok || !strings.HasPrefix(string(e.Data), fmt.Sprintf(`"%dx`, i)) {
			t.Fatalf("%d: %.50v", i, e)
		}
	}
	if b.Metric(t, `belfry_disconnects_total{reason="slow_consumer"}`) == 0 {
		t.Error("the broker has not lost patience")
	}
}
