package forwarded_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"belfry/api/forwarded"
)

var trusted = []string{"10.0.0.0/8", "192.0.2.1", "2001:db8:ffff::/48", "unix"}

// Who a request is from, by one header or the other. A scheme of "s" is TLS. An
// address in parentheses is the peer's own: nothing was forwarded.
func TestOf(t *testing.T) {
	t.Parallel()
	many := strings.Repeat("10.0.0.3, ", 1000)
	for _, c := range []struct {
		name   string
		header string // of proxies
		remote string
		lines  []string // "name: value"
		want   string
	}{
		// Who is believed.
		{"no proxy", "x", "203.0.113.9:1", nil, "(203.0.113.9)"},
		{"no proxy, and says that it is one", "x", "203.0.113.9:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, "(203.0.113.9)"},
		{"no proxy, Forwarded", "f", "203.0.113.9:1", []string{"Forwarded: for=198.51.100.1;proto=https"}, "(203.0.113.9)"},
		{"a proxy that says nothing", "x", "10.0.0.1:1", nil, "(10.0.0.1)"},
		{"a proxy by address", "x", "192.0.2.1:1", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"its neighbour", "x", "192.0.2.2:1", []string{"X-Forwarded-For: 198.51.100.1"}, "(192.0.2.2)"},
		{"a proxy of IPv6", "x", "[2001:db8:ffff::7]:1", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"a mapped proxy", "x", "[::ffff:10.0.0.1]:1", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"a proxy with a zone", "x", "[2001:db8:ffff::7%eth0]:1", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"a unix socket", "x", "@", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"a unix socket without a name", "f", "", []string{"Forwarded: for=198.51.100.1"}, "198.51.100.1"},
		{"a unix socket that says nothing", "x", "@", nil, "(invalid IP)"},
		{"the other header", "x", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1;proto=https"}, "(10.0.0.1)"},
		{"the other header, too", "f", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, "(10.0.0.1)"},
		{"a header of others", "x", "10.0.0.1:1", []string{"X-Real-Ip: 198.51.100.1", "Cf-Connecting-Ip: 198.51.100.1"}, "(10.0.0.1)"},

		// X-Forwarded-For.
		{"one hop", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"what the client made up", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 127.0.0.1, 198.51.100.1"}, "198.51.100.1"},
		{"made up to look like a proxy", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.9, 10.0.0.9, 198.51.100.1"}, "198.51.100.1"},
		{"two proxies", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.2"}, "198.51.100.1"},
		{"proxies only", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3"},
		{"two lines", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 127.0.0.1", "X-Forwarded-For: 198.51.100.1"}, "198.51.100.1"},
		{"two lines, the last a proxy's", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.9, 198.51.100.1", "X-Forwarded-For: 10.0.0.2"}, "198.51.100.1"},
		{"without spaces", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.9,198.51.100.1,10.0.0.2"}, "198.51.100.1"},
		{"tabs", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.9 ,\t198.51.100.1\t"}, "198.51.100.1"},
		{"empty elements", "x", "10.0.0.1:1", []string{"X-Forwarded-For: ,198.51.100.1, ,,", "X-Forwarded-For:"}, "198.51.100.1"},
		{"an empty header", "x", "10.0.0.1:1", []string{"X-Forwarded-For:"}, "(10.0.0.1)"},
		{"with a port", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1:4711"}, "198.51.100.1"},
		{"IPv6", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 2001:db8::1"}, "2001:db8::1"},
		{"IPv6 in brackets", "x", "10.0.0.1:1", []string{"X-Forwarded-For: [2001:db8::1]"}, "2001:db8::1"},
		{"IPv6 with a port", "x", "10.0.0.1:1", []string{"X-Forwarded-For: [2001:db8::1]:4711"}, "2001:db8::1"},
		{"IPv6 with a zone", "x", "10.0.0.1:1", []string{"X-Forwarded-For: fe80::1%eth0"}, "fe80::1"},
		{"a mapped address", "x", "10.0.0.1:1", []string{"X-Forwarded-For: ::ffff:198.51.100.1"}, "198.51.100.1"},
		{"a mapped proxy within", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, ::ffff:10.0.0.2"}, "198.51.100.1"},
		{"garbage", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, garbage"}, "(10.0.0.1)"},
		{"garbage behind a proxy", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"garbage that does not matter", "x", "10.0.0.1:1", []string{"X-Forwarded-For: \x01<\", 198.51.100.1"}, "198.51.100.1"},
		{"quotes", "x", "10.0.0.1:1", []string{`X-Forwarded-For: "198.51.100.1"`}, "(10.0.0.1)"},
		{"leading zeros", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.051.100.1"}, "(10.0.0.1)"},
		{"too few numbers", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.1"}, "(10.0.0.1)"},
		{"IPv4 in brackets", "x", "10.0.0.1:1", []string{"X-Forwarded-For: [198.51.100.1]"}, "(10.0.0.1)"},
		{"half a bracket", "x", "10.0.0.1:1", []string{"X-Forwarded-For: [2001:db8::1"}, "(10.0.0.1)"},
		{"text after the bracket", "x", "10.0.0.1:1", []string{"X-Forwarded-For: [2001:db8::1]x"}, "(10.0.0.1)"},
		{"an endless port", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1:123456"}, "(10.0.0.1)"},
		{"a host name", "x", "10.0.0.1:1", []string{"X-Forwarded-For: client.example.com"}, "(10.0.0.1)"},
		{"many made up", "x", "10.0.0.1:1", []string{"X-Forwarded-For: " + many + "198.51.100.1"}, "198.51.100.1"},
		{"more proxies than there can be", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1, " + many}, "10.0.0.3"},
		{"a header of commas", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1" + strings.Repeat(",", 15000)}, "198.51.100.1"},
		{"TLS", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: HTTPS"}, "198.51.100.1 s"},
		{"TLS of a WebSocket", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: wss"}, "198.51.100.1 s"},
		{"no TLS", "x", "10.0.0.1:1", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: http"}, "198.51.100.1"},
		{"TLS that the client made up", "x", "10.0.0.1:1", []string{"X-Forwarded-Proto: https, http"}, "(10.0.0.1)"},
		{"TLS without an address", "x", "10.0.0.1:1", []string{"X-Forwarded-Proto: http", "X-Forwarded-Proto: https"}, "(10.0.0.1) s"},

		// Forwarded.
		{"one hop", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1"}, "198.51.100.1"},
		{"all that there is", "f", "10.0.0.1:1", []string{`Forwarded: by=_me;For="198.51.100.1:4711"; host="a, b;c" ;proto=https;`}, "198.51.100.1 s"},
		{"quoted IPv6", "f", "10.0.0.1:1", []string{`Forwarded: for="[2001:db8::1]"`}, "2001:db8::1"},
		{"quoted IPv6 with a port", "f", "10.0.0.1:1", []string{`Forwarded: for="[2001:db8::1]:4711"`}, "2001:db8::1"},
		{"IPv6 that is not quoted", "f", "10.0.0.1:1", []string{"Forwarded: for=[2001:db8::1]:4711"}, "2001:db8::1"},
		{"a hidden port", "f", "10.0.0.1:1", []string{`Forwarded: for="198.51.100.1:_http"`}, "198.51.100.1"},
		{"escapes", "f", "10.0.0.1:1", []string{`Forwarded: for="\198.51.100\.1";host="\"\\"`}, "198.51.100.1"},
		{"two proxies", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.9;proto=http, for=198.51.100.1;proto=https, for=10.0.0.2;proto=http"}, "198.51.100.1 s"},
		{"two lines", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.9", "Forwarded: for=198.51.100.1, for=10.0.0.2;proto=https"}, "198.51.100.1"},
		{"unknown", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1, for=unknown"}, "(10.0.0.1)"},
		{"hidden", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1, for=_hidden, for=10.0.0.2"}, "10.0.0.2"},
		{"nobody", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1, proto=https"}, "(10.0.0.1)"},
		{"said twice", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1;for=198.51.100.2"}, "(10.0.0.1)"},
		{"no pair", "f", "10.0.0.1:1", []string{"Forwarded: 198.51.100.1"}, "(10.0.0.1)"},
		{"a value without a name", "f", "10.0.0.1:1", []string{"Forwarded: =198.51.100.1"}, "(10.0.0.1)"},
		{"a name without a value", "f", "10.0.0.1:1", []string{"Forwarded: for="}, "(10.0.0.1)"},
		{"text after the quotes", "f", "10.0.0.1:1", []string{`Forwarded: for="198.51.100.1"x`}, "(10.0.0.1)"},
		{"the client's quote", "f", "10.0.0.1:1", []string{`Forwarded: for=", for=198.51.100.1`}, "198.51.100.1"},
		{"the client's quote in a line", "f", "10.0.0.1:1", []string{`Forwarded: for="`, `Forwarded: for=198.51.100.1, for="10.0.0.2"`}, "198.51.100.1"},
		{"the client's backslash", "f", "10.0.0.1:1", []string{`Forwarded: for="\, for="198.51.100.1"`}, "198.51.100.1"},
		{"a quote that does not end, of a proxy", "f", "10.0.0.1:1", []string{`Forwarded: for="198.51.100.1`}, "(10.0.0.1)"},
		{"after a malformed one", "f", "10.0.0.1:1", []string{`Forwarded: for=198.51.100.1, ", for=10.0.0.2`}, "10.0.0.2"},
		{"more proxies than there can be", "f", "10.0.0.1:1", []string{"Forwarded: for=198.51.100.1" + strings.Repeat(", for=10.0.0.3", 100)}, "10.0.0.3"},
	} {
		t.Run(c.header+"/"+c.name, func(t *testing.T) {
			t.Parallel()
			header := forwarded.XForwardedFor
			if c.header == "f" {
				header = forwarded.RFC7239
			}
			proxies, err := forwarded.New(trusted, header)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "/", nil)
			r.RemoteAddr = c.remote
			for _, line := range c.lines {
				name, value, _ := strings.Cut(line, ":")
				r.Header.Add(name, strings.Trim(value, " "))
			}
			if got := describe(proxies.Of(r)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func describe(c forwarded.Client) string {
	text := c.Addr.String()
	if !c.Forwarded {
		text = "(" + text + ")"
	}
	if c.Secure {
		text += " s"
	}
	return text
}

// Nobody is trusted if nobody is named, not even a unix socket.
func TestOfNobody(t *testing.T) {
	t.Parallel()
	for _, remote := range []string{"127.0.0.1:1", "[::1]:1", "@"} {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}, "X-Forwarded-Proto": {"https"}}}
		if got := new(forwarded.Proxies).Of(r); got.Forwarded || got.Secure {
			t.Errorf("%s is believed: %+v", remote, got)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{"10.0.0.0/8", "x-real-ip"}, {"10.0.0.0/8", ""}, {"10.0.0.0/33", "forwarded"}, {"proxy.example.com", "forwarded"}, {"", "forwarded"}} {
		if _, err := forwarded.New([]string{c[0]}, c[1]); err == nil {
			t.Errorf("%q is taken", c)
		}
	}
	mapped, err := forwarded.New([]string{"::ffff:10.0.0.0/104"}, forwarded.XForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	r := &http.Request{RemoteAddr: "10.9.9.9:1", Header: http.Header{"X-Forwarded-For": {"198.51.100.1"}}}
	if !mapped.Of(r).Forwarded {
		t.Error("a network of mapped addresses is not that of IPv4")
	}
}
