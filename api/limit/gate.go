package limit

import (
	"encoding/binary"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"belfry/api/forwarded"
)

// Limits bound connections. Zero is no limit.
type Limits struct {
	HTTPConnections    int // not (yet) upgraded to a client's connection
	AddressConnections int // for each address
	AddressHandshakes  int // new connections of clients in a second, for each address
	Handshakes         int // the same for all addresses together
}

// arrivals returns the rate at which an address may open connections of clients. The burst
// is all that it may have at once, so that clients at one address can reconnect together.
func (l Limits) arrivals() Rate {
	r := PerSecond(float64(l.AddressHandshakes))
	if !r.None() {
		r.Burst = max(r.Burst, l.AddressConnections)
	}
	return r
}

// A Gate counts open connections by the client's address: the peer's, or the one that a
// proxy reports. IPv6 addresses with the same first 64 bits count as one, because one
// customer has that many. This machine (127.0.0.1 and ::1), unix sockets and proxies are
// not counted by address.
type Gate struct {
	*Refusals

	clock   func() time.Time
	proxies atomic.Pointer[forwarded.Proxies]

	mu        sync.Mutex
	limits    Limits
	addresses map[key]int32 // connections by address, never zero
	http      int           // open, but not a client's
	all       Buckets[struct{}]
	arrivals  Buckets[key]
}

// NewGate returns a gate that trusts no proxy. A nil clock is the system's.
func NewGate(l Limits, clock func() time.Time) *Gate {
	if clock == nil {
		clock = time.Now
	}
	g := &Gate{Refusals: new(Refusals), clock: clock, addresses: make(map[key]int32)}
	g.SetProxies(new(forwarded.Proxies))
	g.SetLimits(l)
	return g
}

// Aside returns a gate, without limits yet, for another listener. Connections in one gate
// do not count in the other. Its refusals are counted here.
func (g *Gate) Aside() *Gate {
	aside := NewGate(Limits{}, g.clock)
	aside.Refusals = g.Refusals
	return aside
}

// SetLimits changes the limits. Open connections stay.
func (g *Gate) SetLimits(l Limits) {
	now := g.clock()
	g.mu.Lock()
	g.limits = l
	g.mu.Unlock()
	g.arrivals.SetRate(l.arrivals(), now)
	g.all.SetRate(PerSecond(float64(l.Handshakes)), now)
}

// SetProxies changes the trusted proxies.
func (g *Gate) SetProxies(p *forwarded.Proxies) { g.proxies.Store(p) }

// Client returns the client of a request.
func (g *Gate) Client(r *http.Request) forwarded.Client { return g.proxies.Load().Of(r) }

// A key stands for all addresses of one customer: the four bytes of IPv4, or the first
// eight bytes of IPv6. Global unicast prefixes never collide with IPv4 values. Zero stands
// for addresses that are not counted.
type key uint64

func (g *Gate) keyOf(addr netip.Addr) key {
	switch {
	case !addr.IsValid(), addr == localIPv4, addr == netip.IPv6Loopback(), g.proxies.Load().Trusts(addr):
		return 0
	case addr.Is4():
		b := addr.As4()
		return key(binary.BigEndian.Uint32(b[:]))
	}
	b := addr.As16()
	return key(binary.BigEndian.Uint64(b[:8]))
}

var localIPv4 = netip.AddrFrom4([4]byte{127, 0, 0, 1})

// A Visit is an accepted connection.
type Visit struct {
	gate *Gate
	key  key
	// Guarded by the gate's lock.
	onClose func()
	taken   bool
	closed  bool
}

// Accept admits a new connection, or reports that it is refused.
func (g *Gate) Accept(from net.Addr) (*Visit, bool) {
	k := g.keyOf(forwarded.AddrOf(from))
	g.mu.Lock()
	defer g.mu.Unlock()
	if l := g.limits.HTTPConnections; l > 0 && g.http >= l {
		g.Count(HTTPConnections)
		return nil, false
	}
	if !g.add(k) {
		g.Count(AddressConnections)
		return nil, false
	}
	g.http++
	return &Visit{gate: g, key: k}, true
}

// add counts a connection unless a limit is reached.
func (g *Gate) add(k key) bool {
	if k == 0 {
		return true
	}
	n := g.addresses[k]
	if l := g.limits.AddressConnections; l > 0 && int(n) >= l {
		return false
	}
	g.addresses[k] = n + 1
	return true
}

func (g *Gate) remove(k key) {
	switch n := g.addresses[k]; {
	case k == 0:
	case n == 1:
		delete(g.addresses, k)
	default:
		g.addresses[k] = n - 1
	}
}

// Taken reports that the connection now belongs to a client.
func (v *Visit) Taken() {
	g := v.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if !v.taken && !v.closed {
		v.taken = true
		g.http--
	}
}

// Closed reports that the connection has ended. Further calls have no effect.
func (v *Visit) Closed() {
	if f := v.close(); f != nil {
		f()
	}
}

func (v *Visit) close() (then func()) {
	g := v.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if v.closed {
		return nil
	}
	v.closed = true
	if !v.taken {
		g.http--
	}
	g.remove(v.key)
	then, v.onClose = v.onClose, nil
	return then
}

// OnClose sets the function that is called once when the connection has ended, which may
// be at once. There is at most one such function.
func (v *Visit) OnClose(f func()) {
	v.gate.mu.Lock()
	closed := v.closed
	if !closed {
		v.onClose = f
	}
	v.gate.mu.Unlock()
	if closed {
		f()
	}
}

// Enter admits a client that begins a connection, or fails with a [*Refusal]. Shared means
// that the accepted connection carries several clients. The caller must call the returned
// function once at the end; it may be nil.
func (g *Gate) Enter(c forwarded.Client, shared bool) (leave func(), err error) {
	k, now := g.keyOf(c.Addr), g.clock()
	if k != 0 {
		if level, ok := g.arrivals.Take(k, 1, now); !ok {
			return nil, g.Refuse(AddressHandshakes, level.Wait)
		}
	}
	if level, ok := g.all.Take(struct{}{}, 1, now); !ok {
		return nil, g.Refuse(Handshakes, level.Wait)
	}
	return g.Stay(c, shared)
}

// Stay is [Gate.Enter] without the rate of handshakes, for requests that may come often.
func (g *Gate) Stay(c forwarded.Client, shared bool) (leave func(), err error) {
	k := g.keyOf(c.Addr)
	if k == 0 || !c.Forwarded && !shared { // otherwise Accept has counted it
		return nil, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.add(k) {
		return nil, g.Refuse(AddressConnections, stayPause)
	}
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.remove(k)
	}, nil
}

// stayPause is the pause before another try if there are too many connections. When one
// ends is unknown.
const stayPause = 10 * time.Second

var (
	descHTTP      = prometheus.NewDesc("belfry_http_connections", "HTTP connections not (yet) upgraded to a client's connection.", nil, nil)
	descAddresses = prometheus.NewDesc("belfry_addresses", "Addresses with connections, without this machine and proxies.", nil, nil)
)

// Describe implements [prometheus.Collector].
func (g *Gate) Describe(out chan<- *prometheus.Desc) {
	g.Refusals.Describe(out)
	out <- descHTTP
	out <- descAddresses
}

// Collect implements [prometheus.Collector].
func (g *Gate) Collect(out chan<- prometheus.Metric) {
	g.Refusals.Collect(out)
	h := g.Holdings()
	out <- prometheus.MustNewConstMetric(descHTTP, prometheus.GaugeValue, float64(h.HTTP))
	out <- prometheus.MustNewConstMetric(descAddresses, prometheus.GaugeValue, float64(h.Addresses))
}

// Holdings are the numbers of things that a gate remembers.
type Holdings struct {
	HTTP      int // not clients' connections
	Addresses int // with connections
	Arrivals  int // whose recent handshakes still count
}

// Holdings returns what the gate remembers.
func (g *Gate) Holdings() Holdings {
	arrivals := g.arrivals.Len(g.clock())
	g.mu.Lock()
	defer g.mu.Unlock()
	return Holdings{g.http, len(g.addresses), arrivals}
}
