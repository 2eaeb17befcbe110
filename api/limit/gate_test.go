package limit_test

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"belfry/api/forwarded"
	"belfry/api/limit"
	"belfry/hub"
)

func from(addr string) net.Addr {
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(addr), 1234))
}

func client(addr string) forwarded.Client {
	return forwarded.Client{Addr: netip.MustParseAddr(addr), Forwarded: true}
}

func trusting(t *testing.T, g *limit.Gate, proxies ...string) {
	t.Helper()
	p, err := forwarded.New(proxies, forwarded.XForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	g.SetProxies(p)
}

// refused checks that an error is the refusal of a limit.
func refused(t *testing.T, err error, l limit.Limit, wait time.Duration) {
	t.Helper()
	r, ok := errors.AsType[*limit.Refusal](err)
	if !ok || r.Limit != l || r.After != wait || !errors.Is(err, hub.ErrOverCapacity) || !strings.Contains(err.Error(), l.String()) {
		t.Errorf("got %+v, want %v and %v", err, l, wait)
	}
}

// Which addresses count as one.
func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		first, second string
		same          bool
	}{
		{"198.51.100.1", "198.51.100.1", true},
		{"198.51.100.1", "198.51.100.2", false},
		{"198.51.100.1", "::ffff:198.51.100.1", true},
		{"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
		{"2001:db8:0:1::1", "2001:db8:0:2::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"127.0.0.2", "127.0.0.2", true},
		{"127.0.0.2", "127.0.0.3", false},
		{"127.0.0.1", "127.0.0.1", false}, // this machine is not counted
		{"::1", "::1", false},
		{"::ffff:127.0.0.1", "::ffff:127.0.0.1", false},
		{"10.1.2.3", "10.1.2.3", false}, // a proxy
	} {
		g := limit.NewGate(limit.Limits{AddressConnections: 1}, nil)
		trusting(t, g, "10.0.0.0/8")
		if _, ok := g.Accept(from(c.first)); !ok {
			t.Errorf("%s is refused", c.first)
		}
		if _, ok := g.Accept(from(c.second)); ok == c.same {
			t.Errorf("%s after %s: admitted %v", c.second, c.first, ok)
		}
	}
	g := limit.NewGate(limit.Limits{AddressConnections: 1}, nil)
	for range 3 {
		if _, ok := g.Accept(&net.UnixAddr{Name: "@", Net: "unix"}); !ok {
			t.Error("a unix socket is refused")
		}
	}
}

// A connection counts once, until it has ended, whatever is reported about it in any
// order.
func TestVisits(t *testing.T) {
	t.Parallel()
	g := limit.NewGate(limit.Limits{AddressConnections: 2, HTTPConnections: 3}, nil)
	holds := func(http, addresses int) {
		t.Helper()
		if h := g.Holdings(); h.HTTP != http || h.Addresses != addresses {
			t.Errorf("holds %+v, want %d and %d", h, http, addresses)
		}
	}
	accept := func(addr string, want bool) *limit.Visit {
		t.Helper()
		v, ok := g.Accept(from(addr))
		if ok != want {
			t.Fatalf("%s: admitted %v", addr, ok)
		}
		return v
	}
	a1, a2 := accept("198.51.100.1", true), accept("198.51.100.1", true)
	accept("198.51.100.1", false)
	b := accept("198.51.100.2", true)
	holds(3, 2)
	accept("198.51.100.3", false) // too many that are no clients
	accept("127.0.0.1", false)
	a1.Taken()
	a1.Taken()
	holds(2, 2)
	accept("198.51.100.1", false)
	a1.Closed()
	a1.Closed()
	a1.Taken()
	holds(2, 2)
	a3 := accept("198.51.100.1", true)
	accept("198.51.100.1", false)
	for _, v := range []*limit.Visit{a2, a3, b, b} {
		v.Closed()
	}
	holds(0, 0)

	calls := 0
	c := accept("127.0.0.1", true)
	c.OnClose(func() { calls++ })
	c.Closed()
	c.Closed()
	c.OnClose(func() { calls += 10 })
	if calls != 11 {
		t.Errorf("the end was told %d times", calls)
	}
	page := scrape(g)
	for _, want := range []string{
		`belfry_refused_total{limit="max_address_connections"} 2`, `belfry_refused_total{limit="max_http_connections"} 3`,
		`belfry_refused_total{limit="max_memory"} 0`, "belfry_http_connections 0", "belfry_addresses 0",
	} {
		if !strings.Contains(page, want+"\n") {
			t.Errorf("no %s in\n%s", want, page)
		}
	}
}

// scrape returns the metrics of a gate.
func scrape(g *limit.Gate) string {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(g)
	w := httptest.NewRecorder()
	promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	return w.Body.String()
}

func TestHandshakes(t *testing.T) {
	t.Parallel()
	c := newClock()
	g := limit.NewGate(limit.Limits{AddressHandshakes: 2, AddressConnections: 5, Handshakes: 20}, c.Now)
	direct := client("198.51.100.1")
	direct.Forwarded = false // it was counted when it was accepted
	for range 5 {            // as many as may be at once
		if leave, err := g.Enter(direct, false); leave != nil || err != nil {
			t.Fatal("a direct connection", err)
		}
	}
	_, err := g.Enter(direct, false)
	refused(t, err, limit.AddressHandshakes, time.Second/2)
	if h := g.Holdings(); h.Arrivals != 1 {
		t.Errorf("holds %+v", h)
	}
	c.pass(time.Second / 2)
	if _, err := g.Enter(direct, false); err != nil {
		t.Error(err)
	}
	c.pass(time.Second)
	for range 20 { // this machine is bounded by the limit of all
		if _, err := g.Enter(client("127.0.0.1"), false); err != nil {
			t.Fatal(err)
		}
	}
	_, err = g.Enter(client("127.0.0.1"), false)
	refused(t, err, limit.Handshakes, time.Second/20)
	c.pass(time.Hour)
	if h := g.Holdings(); h != (limit.Holdings{}) {
		t.Errorf("holds %+v for ever", h)
	}
}

func TestForwardedConnections(t *testing.T) {
	t.Parallel()
	g := limit.NewGate(limit.Limits{AddressConnections: 2}, nil)
	trusting(t, g, "10.0.0.1")
	first, err := g.Enter(client("198.51.100.1"), false)
	if first == nil || err != nil {
		t.Fatal(err)
	}
	shared := client("198.51.100.1")
	shared.Forwarded = false
	second, err := g.Enter(shared, true) // a stream among others
	if second == nil || err != nil {
		t.Fatal(err)
	}
	_, err = g.Enter(client("198.51.100.1"), false)
	refused(t, err, limit.AddressConnections, 10*time.Second)
	_, err = g.Stay(client("198.51.100.1"), false)
	refused(t, err, limit.AddressConnections, 10*time.Second)
	if _, ok := g.Accept(from("198.51.100.1")); ok {
		t.Error("what comes through a proxy does not count for what comes without")
	}
	for _, exempt := range []string{"10.0.0.1", "127.0.0.1", "::1"} {
		if leave, err := g.Enter(client(exempt), true); leave != nil || err != nil {
			t.Errorf("%s counts: %v", exempt, err)
		}
	}
	first()
	third, err := g.Stay(client("198.51.100.1"), false)
	if err != nil {
		t.Fatal(err)
	}
	second()
	third()
	if h := g.Holdings(); h.Addresses != 0 {
		t.Errorf("holds %+v", h)
	}
}

// While the limits change, connections come and go, and nothing is left of them.
func TestGateConcurrently(t *testing.T) {
	t.Parallel()
	g := limit.NewGate(limit.Limits{AddressConnections: 3, AddressHandshakes: 1e6}, nil)
	var running sync.WaitGroup
	for i := range 8 {
		running.Go(func() {
			addr := fmt.Sprintf("198.51.100.%d", i%3)
			for range 500 {
				v, ok := g.Accept(from(addr))
				if !ok {
					continue
				}
				leave, err := g.Enter(g.Client(&http.Request{RemoteAddr: addr + ":1"}), true)
				if err == nil {
					v.OnClose(leave)
					v.Taken()
				}
				go v.Closed()
				v.Closed()
			}
		})
	}
	for n := range 100 {
		g.SetLimits(limit.Limits{AddressConnections: n % 5, HTTPConnections: n % 7, AddressHandshakes: n * 1000})
		trusting(t, g, fmt.Sprintf("203.0.113.%d", n))
		g.Holdings()
	}
	running.Wait()
	if h := g.Holdings(); h.HTTP != 0 || h.Addresses != 0 {
		t.Errorf("holds %+v", h)
	}
}
