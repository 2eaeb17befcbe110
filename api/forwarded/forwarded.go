// Package forwarded finds the client of a request that came through proxies.
package forwarded

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// The headers in which proxies name the client.
const (
	XForwardedFor = "x-forwarded-for"
	RFC7239       = "forwarded"
)

// maxHops bounds the chain of proxies that is followed.
const maxHops = 32

// Proxies are the trusted proxies and the one header that they use. The zero value trusts
// nobody. It is immutable.
type Proxies struct {
	networks  []netip.Prefix
	unix      bool // trust all peers on a unix socket
	forwarded bool // they use Forwarded, otherwise X-Forwarded-For
}

// New returns the proxies with the given addresses or networks ("10.0.0.0/8"); "unix"
// stands for all peers on a unix socket. The header is [XForwardedFor] or [RFC7239]. Other
// headers are ignored, because any sender can invent them.
func New(trusted []string, header string) (*Proxies, error) {
	p := &Proxies{forwarded: header == RFC7239}
	if !p.forwarded && header != XForwardedFor {
		return nil, fmt.Errorf("%q is not a header of proxies; choose %s or %s", header, XForwardedFor, RFC7239)
	}
	for _, text := range trusted {
		if text == "unix" {
			p.unix = true
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			var addr netip.Addr
			if addr, err = netip.ParseAddr(text); err != nil {
				return nil, fmt.Errorf("%q is neither an address nor a network", text)
			}
			network = netip.PrefixFrom(addr.WithZone(""), addr.BitLen())
		}
		p.networks = append(p.networks, unmapped(network))
	}
	return p, nil
}

// unmapped turns a network of mapped addresses (::ffff:10.0.0.0/104) into one of IPv4.
func unmapped(network netip.Prefix) netip.Prefix {
	if addr := network.Addr(); addr.Is4In6() && network.Bits() >= 96 {
		network = netip.PrefixFrom(addr.Unmap(), network.Bits()-96)
	}
	return network.Masked()
}

// Trusts reports whether an address is a proxy's. The invalid address stands for a unix
// socket.
func (p *Proxies) Trusts(addr netip.Addr) bool {
	if !addr.IsValid() {
		return p.unix
	}
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// A Client is the sender of a request.
type Client struct {
	Addr      netip.Addr // neither mapped nor with a zone; invalid for a unix socket
	Forwarded bool       // Addr is what a proxy said
	Secure    bool       // a proxy said that the request came by TLS
}

// Of returns the client of a request. It follows the hops in the header back from the
// peer, as long as they are proxies. It stops at the first that is not a proxy, or before
// one that it does not understand: anybody may have written what is further left.
func (p *Proxies) Of(r *http.Request) Client {
	c := Client{Addr: addrOf(r.RemoteAddr)}
	if !p.Trusts(c.Addr) {
		return c
	}
	name := "X-Forwarded-For"
	if p.forwarded {
		name = "Forwarded"
	} else {
		c.Secure = isSecure(lastOf(r.Header["X-Forwarded-Proto"]))
	}
	hops := hops{lines: r.Header[name], quoted: p.forwarded}
	for range maxHops {
		text, ok := hops.next()
		if !ok {
			return c
		}
		secure := c.Secure
		if p.forwarded {
			if text, secure, ok = parseForwarded(text); !ok {
				return c
			}
		}
		addr, ok := parseNode(text)
		if !ok {
			return c
		}
		c = Client{Addr: addr, Forwarded: true, Secure: secure}
		if !p.Trusts(addr) {
			return c
		}
	}
	return c
}

// AddrOf returns a peer's address; it is invalid for a unix socket.
func AddrOf(peer net.Addr) netip.Addr {
	if tcp, ok := peer.(*net.TCPAddr); ok {
		return plain(tcp.AddrPort().Addr())
	}
	return netip.Addr{}
}

// addrOf returns the address of a request's peer.
func addrOf(remote string) netip.Addr {
	peer, _ := netip.ParseAddrPort(remote) // a unix socket has no address
	return plain(peer.Addr())
}

// plain returns an address in the form in which addresses are compared: without a zone,
// which belongs to another machine, and IPv4 without mapping.
func plain(addr netip.Addr) netip.Addr { return addr.Unmap().WithZone("") }

// parseNode reads one hop: an address, perhaps with a port; IPv6 with a port is in
// brackets. Other names (RFC 7239 section 6.2 and 6.3: "unknown", "_hidden") are not
// addresses.
func parseNode(text string) (addr netip.Addr, ok bool) {
	host, port := text, ""
	if rest, bracketed := strings.CutPrefix(text, "["); bracketed {
		if host, port, ok = strings.Cut(rest, "]"); !ok || !strings.Contains(host, ":") {
			return addr, false
		}
	} else if i := strings.IndexByte(text, ':'); i >= 0 && i == strings.LastIndexByte(text, ':') {
		host, port = text[:i], text[i:]
	}
	if port != "" && !isPort(port) {
		return addr, false
	}
	addr, err := netip.ParseAddr(host)
	return plain(addr), err == nil
}

// isPort reports whether text is a colon and a port, or an obfuscated port (RFC 7239
// section 6).
func isPort(text string) bool {
	port, ok := strings.CutPrefix(text, ":")
	if name, hidden := strings.CutPrefix(port, "_"); ok && hidden {
		return name != "" && isToken(name)
	}
	return ok && 1 <= len(port) && len(port) <= 5 && strings.Trim(port, "0123456789") == ""
}

// isSecure reports whether a scheme named by a proxy is one of TLS.
func isSecure(scheme string) bool {
	return strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "wss")
}
