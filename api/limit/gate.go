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
	HTTPConnections    int // that no client has (yet)
	AddressConnections int // of one address
	AddressHandshakes  int // new clients' connections of one address, in a second
	Handshakes         int // the same of all together
}

// arrivals is how fast an address may open connections of clients: all that it
// may have at once, so that those behind one address can come back together.
func (l Limits) arrivals() Rate {
	r := PerSecond(float64(l.AddressHandshakes))
	if !r.None() {
		r.Burst = max(r.Burst, l.AddressConnections)
	}
	return r
}

// A Gate counts the connections that there are, by the address of the client:
// the peer's, or what a proxy says. The addresses of IPv6 that begin with the
// same 64 bits are one, since one customer has as many. This machine itself
// (127.0.0.1 and ::1), unix sockets and proxies are not counted by address.
type Gate struct {
	*Refusals

	clock   func() time.Time
	proxies atomic.Pointer[forwarded.Proxies]

	mu        sync.Mutex
	limits    Limits
	addresses map[key]int32 // connections of each, never zero
	http      int           // accepted, neither closed nor a client's
	all       Buckets[struct{}]
	arrivals  Buckets[key]
}

// NewGate returns a gate that trusts no proxy. Nil is the clock of the system.
func NewGate(l Limits, clock func() time.Time) *Gate {
	if clock == nil {
		clock = time.Now
	}
	g := &Gate{Refusals: new(Refusals), clock: clock, addresses: make(map[key]int32)}
	g.SetProxies(new(forwarded.Proxies))
	g.SetLimits(l)
	return g
}

// Aside returns a gate without limits yet for those who come by another way: who is in there
// takes nobody's place here, nor the reverse. Its refusals count here.
func (g *Gate) Aside() *Gate {
	aside := NewGate(Limits{}, g.clock)
	aside.Refusals = g.Refusals
	return aside
}

// SetLimits changes the limits. Those who are in already stay.
func (g *Gate) SetLimits(l Limits) {
	now := g.clock()
	g.mu.Lock()
	g.limits = l
	g.mu.Unlock()
	g.arrivals.SetRate(l.arrivals(), now)
	g.all.SetRate(PerSecond(float64(l.Handshakes)), now)
}

// SetProxies changes whose word is taken for who a client is.
func (g *Gate) SetProxies(p *forwarded.Proxies) { g.proxies.Store(p) }

// Client returns who a request is from.
func (g *Gate) Client(r *http.Request) forwarded.Client { return g.proxies.Load().Of(r) }

// A key stands for all addresses of one customer: the four bytes of IPv4, or the
// first eight of IPv6, which for nobody out there are that small a number. Zero
// stands for those who are not counted.
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

// A Visit is a connection that was accepted.
type Visit struct {
	gate *Gate
	key  key
	// Under the gate's lock.
	onClose func()
	taken   bool
	closed  bool
}

// Accept takes a new connection, or reports that it may not be.
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

// add counts a connection, if there may be one more.
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

// Taken tells that the connection is a client's from now on.
func (v *Visit) Taken() {
	g := v.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if !v.taken && !v.closed {
		v.taken = true
		g.http--
	}
}

// Closed tells that the connection has ended. Whoever tells it again is not
// heard.
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

// OnClose has a function be called once when the connection has ended, which may
// be now. There is one such function at most.
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

// Enter admits a client that begins a connection, or fails with a [*Refusal].
// Shared says that it is one of many over a connection that was accepted. What is
// returned is to be called once when it has ended;
// nil is nothing.
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

// Stay is [Gate.Enter] for a client that comes as often as it likes.
func (g *Gate) Stay(c forwarded.Client, shared bool) (leave func(), err error) {
	k := g.keyOf(c.Addr)
	if k == 0 || !c.Forwarded && !shared { // or it was counted when it was accepted
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

// stayPause is when to try again if there are too many connections: nobody knows
// when one ends.
const stayPause = 10 * time.Second

var (
	descHTTP      = prometheus.NewDesc("belfry_http_connections", "Connections that are no client's (yet).", nil, nil)
	descAddresses = prometheus.NewDesc("belfry_addresses", "Addresses that have connections; this machine and proxies are not counted.", nil, nil)
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

// Holdings are what a gate remembers at one moment.
type Holdings struct {
	HTTP      int // connections that are no client's
	Addresses int // that have connections
	Arrivals  int // addresses whose handshakes count still
}

// Holdings returns what the gate remembers.
func (g *Gate) Holdings() Holdings {
	arrivals := g.arrivals.Len(g.clock())
	g.mu.Lock()
	defer g.mu.Unlock()
	return Holdings{g.http, len(g.addresses), arrivals}
}
