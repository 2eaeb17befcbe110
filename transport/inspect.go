package transport

import (
	"context"
	"net"

	"belfry/hub"
)

// Inspect returns what is known of connections, in their order. It is zero for connections
// that have ended, and for those whose courier does not answer before ctx ends.
func (s *Server) Inspect(ctx context.Context, conns []*hub.Conn) []hub.ConnInfo {
	infos := make([]hub.ConnInfo, len(conns))
	for _, k := range s.couriers {
		var of []int
		for i, one := range conns {
			if one != nil && one.Owner.(*conn).courier == k {
				of = append(of, i)
			}
		}
		if len(of) == 0 {
			continue
		}
		answer := make(chan []hub.ConnInfo, 1)
		look := func() {
			found := make([]hub.ConnInfo, len(of))
			for n, i := range of {
				found[n] = conns[i].Owner.(*conn).info()
			}
			answer <- found
		}
		if !k.do(ctx, look) {
			continue
		}
		select {
		case found := <-answer:
			for n, i := range of {
				infos[i] = found[n]
			}
		case <-k.done:
		case <-ctx.Done():
		}
	}
	return infos
}

// do has a courier do work between its events.
func (k *courier) do(ctx context.Context, work func()) bool {
	select {
	case k.inbox <- report{kind: reportDo, work: work}:
		return true
	case <-k.done:
	case <-ctx.Done():
	}
	return false
}

// info returns what operators see of a connection.
func (c *conn) info() hub.ConnInfo {
	info := hub.ConnInfo{Protocol: c.speaks.name(), Address: c.address, Written: c.resume.written}
	if c.phase == phaseEnded {
		return info
	}
	if sock, ok := c.sock.(net.Conn); ok && info.Address == "" {
		info.Address = sock.RemoteAddr().String()
	}
	if c.waiting != nil {
		info.QueueBytes, info.Blocked = c.waiting.size(), c.waiting.flight > 0
	}
	return info
}
