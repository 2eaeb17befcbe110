package hostile_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/tests/harness"
)

// Floods: strangers take as much as they can, and clients that behave well are still
// served.

var floodTime = flag.Duration("flood.for", 0, "flood a broker in a process of its own, so long for each flood, and print a table")

// A flood is what attackers do.
type flood struct {
	name    string
	flags   []string // of the broker
	large   []string // flags of the large version instead
	limit   string   // the series that counts what is refused; "": nobody is, the attackers are cut
	pause   time.Duration
	trickle time.Duration // between two pieces of what is sent slowly
	few     int           // attackers in the small version
	many    int           // in the large one
	keys    bool          // attackers and others have keys of their own
	long    int           // times as long as others the large version is; 0: once
	do      func(a *attacker) error
}

const refusedTotal = `belfry_refused_total{limit="max_%s"}`

var floods = []flood{
	{
		name: "twice the connections that an address may have", limit: fmt.Sprintf(refusedTotal, "address_connections"),
		flags: []string{"--max-address-connections=20"}, large: []string{"--max-address-connections=1000", "--max-address-handshakes=0"},
		pause: 100 * time.Millisecond, few: 40, many: 2000,
		do: func(a *attacker) error {
			c, err := a.dial(1)
			if err == nil {
				_, err = io.WriteString(c, harness.Opening("/ws?topic=cats"))
			}
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			return err
		},
	},
	{
		name: "twice the connections that are no client's", limit: fmt.Sprintf(refusedTotal, "http_connections"),
		flags: []string{"--max-http-connections=20", "--header-timeout=500ms", "--max-address-connections=0"}, large: []string{"--max-http-connections=1000", "--max-address-connections=0"},
		pause: 100 * time.Millisecond, few: 40, many: 2000,
		do: func(a *attacker) error {
			c, err := a.dial(3)
			if err == nil {
				_, err = io.Copy(io.Discard, c)
			}
			return err
		},
	},
	{
		name: "connecting ten times as fast as an address may", limit: fmt.Sprintf(refusedTotal, "address_handshakes"),
		flags: []string{"--max-address-handshakes=10", "--max-address-connections=10"}, pause: 10 * time.Millisecond, few: 10, many: 10,
		do: func(a *attacker) error {
			c, err := a.dial(2)
			if err == nil {
				_, err = io.WriteString(c, harness.Opening("/ws?topic=cats"))
			}
			if err == nil {
				_, err = c.Read(make([]byte, 1))
			}
			return err
		},
	},
	{
		name: "publishing at ten times the rate", limit: fmt.Sprintf(refusedTotal, "publish_rate"),
		keys: true, pause: 5 * time.Millisecond, few: 10, many: 10,
		do: func(a *attacker) error { return a.post(harness.Event("cats", "x")) },
	},
	{
		name: "headers byte by byte", flags: []string{"--header-timeout=500ms"}, large: []string{}, trickle: 100 * time.Millisecond, few: 20, many: 1000,
		do: func(a *attacker) error { return a.drip(harness.Opening("/ws?topic=cats")[:60], "x") },
	},
	{
		name: "bodies byte by byte", flags: []string{"--header-timeout=500ms", "--body-timeout=500ms"}, large: []string{}, trickle: 100 * time.Millisecond, few: 20, many: 1000,
		do: func(a *attacker) error {
			return a.drip("POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", "x")
		},
	},
	{
		name: "frames byte by byte", flags: []string{"--ping-interval=100ms", "--pong-timeout=" + harness.ShortTime.String()}, large: []string{}, trickle: 100 * time.Millisecond, few: 20, many: 1000,
		do: func(a *attacker) error {
			return a.drip(harness.Opening("/ws?topic=cats")+harness.Masked(harness.Final|harness.BinaryFrame, strings.Repeat("x", 60_000))[:20], "x")
		},
	},
	{
		name: "pings", limit: `belfry_disconnects_total{reason="policy_violation"}`, flags: []string{"--max-control-rate=5"}, large: []string{}, pause: 100 * time.Millisecond, trickle: 10 * time.Millisecond, few: 10, many: 100,
		do: func(a *attacker) error {
			return a.drip(harness.Opening("/ws?topic=cats"), strings.Repeat(harness.Masked(harness.Final|harness.Ping, "x"), 5))
		},
	},
	{
		name: "a topic for each event", limit: "belfry_events_evicted_total", flags: []string{"--history-age=1s", "--history-bytes=1048576"}, large: []string{"--history-age=10s"},
		pause: 30 * time.Millisecond, few: 2, many: 8, long: 2,
		do: func(a *attacker) error {
			events := make([]string, 100)
			for i := range events {
				events[i] = harness.Event(fmt.Sprintf("t.%d.%d", os.Getpid(), a.number.Add(1)), "x")
			}
			return a.post("[" + strings.Join(events, ",") + "]")
		},
	},
	{
		name: "readers that do not read", limit: slowConsumers, flags: []string{"--max-message=10000", "--client-queue-bytes=20000"}, large: []string{}, pause: 100 * time.Millisecond,
		trickle: 50 * time.Millisecond, few: 20, many: 1000,
		do: func(a *attacker) error {
			if a.index == 0 {
				return a.post(harness.Event("noise", strings.Repeat("noise ", 1500)))
			}
			return a.drip(harness.Opening("/ws?topic=noise"), harness.Say("ping"))
		},
	},
	{
		name: "bodies that are too long or too deep", limit: fmt.Sprintf(refusedTotal, "body"), pause: 20 * time.Millisecond, few: 4, many: 4,
		do: func(a *attacker) error {
			n := a.number.Add(1)
			deep := []string{"[", `{"a":`, `{"topic":"cats","message":[[`, `"\u0000`}[n%4]
			return a.post(strings.Repeat(deep, (1<<20+int(n%3))/len(deep)+1)[:1<<20+int(n%3)])
		},
	},
	costly,
}

// The keys of floods that have some.
const (
	goodKey = "good"
	evilKey = "evil"
)

// settings are the flags of a flood's broker. The rate is that of the attackers'
// key, if they have one.
func (f *flood) settings(t *testing.T, flags []string, rate int) []string {
	t.Helper()
	if !f.keys {
		return flags
	}
	file := filepath.Join(t.TempDir(), "belfry.yaml")
	keys := "keys:\n" + harness.Entry(goodKey, "publish, register, subscribe, admin", ">") + strings.Replace(harness.Entry(evilKey, "publish", ">"), "}", fmt.Sprintf(", rate: %d}", rate), 1)
	if err := os.WriteFile(file, []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	return append([]string{"--config=" + file}, flags...)
}

// give makes a client that behaves well send its key.
func (f *flood) give(client *http.Client) {
	if f.keys {
		client.Transport = bearer{client.Transport.(*http.Transport), goodKey}
	}
}

// A bearer shows a key with each request.
type bearer struct {
	*http.Transport
	key string
}

// RoundTrip implements [http.RoundTripper].
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.key)
	return b.Transport.RoundTrip(r)
}

// An attacker does the same again and again until its flood ends.
type attacker struct {
	*flood
	ctx    context.Context
	addr   string
	index  int
	number *atomic.Int64 // of what has been done that needs one
	rounds *atomic.Int64 // that the broker has ended
	http   *http.Client
	leave  func() // ends the round's connection
}

// attack runs n attackers until ctx ends, and waits for them.
func (f *flood) attack(ctx context.Context, addr string, n int, rounds *atomic.Int64) {
	var number atomic.Int64
	var running sync.WaitGroup
	defer running.Wait()
	for i := range n {
		a := &attacker{flood: f, ctx: ctx, addr: addr, index: i, number: &number, rounds: rounds, leave: func() {}}
		through := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return a.connect(2) }}
		a.http = &http.Client{Transport: through}
		if !a.wait(time.Millisecond) { // not all in the same moment
			return
		}
		running.Go(func() {
			defer through.CloseIdleConnections()
			for {
				_ = a.do(a) // an attacker does not care
				a.leave()
				a.rounds.Add(1)
				if !a.wait(a.pause) {
					return
				}
			}
		})
	}
}

// wait waits, and reports whether the flood goes on.
func (a *attacker) wait(d time.Duration) bool {
	if d == 0 {
		return a.ctx.Err() == nil
	}
	select {
	case <-a.ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// connect connects from one of so many addresses.
func (a *attacker) connect(addresses int) (net.Conn, error) {
	d := harness.SmallBuffer
	d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(2+a.index%addresses))}
	c, err := d.DialContext(a.ctx, "tcp", a.addr)
	if err != nil {
		return nil, err
	}
	_ = c.(*net.TCPConn).SetLinger(0) // or ports run out
	return c, nil
}

// dial connects from one of so many addresses, until the round or the flood ends.
func (a *attacker) dial(addresses int) (net.Conn, error) {
	c, err := a.connect(addresses)
	if err == nil {
		forget := context.AfterFunc(a.ctx, func() { c.Close() })
		a.leave = func() { forget(); c.Close() }
	}
	return c, err
}

// drip sends something, and then a little at a time.
func (a *attacker) drip(first, little string) error {
	c, err := a.dial(4)
	if err == nil {
		_, err = io.WriteString(c, first)
	}
	for err == nil && a.wait(a.trickle) {
		_, err = io.WriteString(c, little)
	}
	return err
}

func (a *attacker) post(body string) error {
	req, err := http.NewRequestWithContext(a.ctx, "POST", "http://"+a.addr+"/publish", strings.NewReader(body))
	if err != nil {
		return err
	}
	if a.keys {
		req.Header.Set("Authorization", "Bearer "+evilKey)
	}
	res, err := a.http.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return err
}

// TestFloods: during each flood a client that behaves well gets every event, and the
// broker is alive. The attackers are refused or cut, and in the end nothing is left of
// them.
//
// The test is not parallel: it counts what the whole process holds.
func TestFloods(t *testing.T) {
	for _, f := range floods {
		t.Run(strings.ReplaceAll(f.name, " ", "-"), func(t *testing.T) {
			b := harness.Start(t, append([]string{"--resume-window=0s", "--close-timeout=100ms", "--history-age=1s"}, f.settings(t, f.flags, 20)...)...)
			f.give(&b.HTTP)
			good := admitted(b, t, "good")
			before := abuseHoldings(t, b)
			ctx, stop := context.WithCancel(t.Context())
			var rounds atomic.Int64
			var attackers sync.WaitGroup
			attackers.Go(func() { f.attack(ctx, b.Addr, f.few, &rounds) })
			defer attackers.Wait()
			defer stop()

			refused := 0.0
			for n := 0; n < 50 || rounds.Load() < int64(f.few) || f.limit != "" && refused < float64(f.few); n++ {
				text := fmt.Sprint("event ", n)
				harness.Eventually(t, "somebody who behaves well is served", func() bool {
					got, err := b.Do("POST", "/publish", harness.Event("good", text), "Idempotency-Key", text)
					return err == nil && got.Status == http.StatusOK
				})
				good.Expect(t, text)
				if got, err := b.Do("GET", "/health/live", ""); err == nil && got.Status != http.StatusOK {
					t.Fatalf("it is not alive: %d %s", got.Status, got.Body)
				}
				if f.limit != "" && n%10 == 9 {
					refused = b.Metric(t, f.limit)
				}
				runtime.Gosched()
			}
			stop()
			attackers.Wait()
			good.Silent(t)
			var after holdings
			harness.Eventually(t, "all is given back", func() bool { after = abuseHoldings(t, b); return after.settled(before) })
		})
	}
}

// admitted connects a client of a topic of its own to a broker with short time-outs. On a
// busy machine it may have to try again.
func admitted(b *harness.Broker, t *testing.T, topic string) (p *harness.Peer) {
	t.Helper()
	harness.Eventually(t, "somebody who behaves well is admitted", func() bool {
		got, err := b.Do("POST", "/register", `{"user_id": "`+topic+`", "topic": "`+topic+`"}`)
		if err != nil || got.Status != http.StatusOK {
			return false
		}
		p, _, err = b.Dial(harness.JsonOf[harness.Registration](got.Body).URL)
		return err == nil
	})
	t.Cleanup(p.Leave)
	p.Sync(t)
	return p
}

// settled reports whether a broker holds no more than it did before.
func (h holdings) settled(before holdings) bool {
	return h.goroutines <= before.goroutines && h.sockets <= before.sockets && h.wires <= before.wires && h.Census == before.Census && h.connections == before.connections
}
