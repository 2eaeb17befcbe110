package harness

import (
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A proxy stands between clients and a broker, as others do in the world
// outside: it may cut what goes through it, and lead to another broker.
type proxy struct {
	Addr    string // host:port
	ln      net.Listener
	running sync.WaitGroup

	mu    sync.Mutex
	to    string                    // the broker's address
	gate  chan struct{}             // closed while new connections are let through
	conns map[*net.TCPConn]struct{} // of clients
	asked strings.Builder           // what clients have sent
}

func NewProxy(t *testing.T, to string) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Addr: ln.Addr().String(), ln: ln, to: to, gate: make(chan struct{}), conns: make(map[*net.TCPConn]struct{})}
	close(p.gate)
	p.running.Go(p.accept)
	t.Cleanup(func() {
		ln.Close()
		p.Open()
		p.Cut()
		p.running.Wait()
	})
	return p
}

func (p *proxy) accept() {
	for {
		conn, err := p.ln.Accept()
		if err != nil {
			return
		}
		client := conn.(*net.TCPConn)
		p.mu.Lock()
		p.conns[client] = struct{}{}
		gate := p.gate
		p.mu.Unlock()
		p.running.Go(func() { p.pass(client, gate) })
	}
}

// pass is the way of one connection.
func (p *proxy) pass(client *net.TCPConn, gate <-chan struct{}) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		client.Close()
	}()
	<-gate
	p.mu.Lock()
	to := p.to
	p.mu.Unlock()
	conn, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	broker := conn.(*net.TCPConn)
	var up sync.WaitGroup
	up.Go(func() {
		_, _ = io.Copy(broker, io.TeeReader(client, p)) // until one side ends; which one does not matter
		_ = broker.CloseWrite()
	})
	_, _ = io.Copy(client, broker)
	_ = client.CloseWrite()
	broker.Close()
	up.Wait()
}

// Write notes what a client has sent.
func (p *proxy) Write(sent []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked.Write(sent)
}

// Requests returns how many requests have come.
func (p *proxy) Requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Count(p.asked.String(), " HTTP/1.1\r\n")
}

// Hold keeps new connections waiting until open.
func (p *proxy) Hold() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = make(chan struct{})
}

func (p *proxy) Open() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.gate:
	default:
		close(p.gate)
	}
}

// Lead has new connections go to another broker.
func (p *proxy) Lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

// Cut resets all connections.
func (p *proxy) Cut() {
	// See [wire.reset].
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	for client := range p.conns {
		_ = client.SetLinger(0) // fails only for one that has ended
		client.Close()
	}
}
