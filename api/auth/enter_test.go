package auth

import (
	"net/http/httptest"
	"testing"
)

// The callers of a broker without keys: rows of Host, another header, and the result.
func TestEnter(t *testing.T) {
	t.Parallel()
	local := Options{Open: true, Local: true, Hosts: []string{"events.example.com"}}
	for _, row := range []struct{ host, name, value, code string }{
		{"localhost", "", "", ""},
		{"localhost:8000", "", "", ""},
		{"LOCALHOST:8000", "", "", ""},
		{"127.0.0.1", "", "", ""},
		{"127.0.0.1:65535", "", "", ""},
		{"[::1]", "", "", ""},
		{"[::1]:8000", "", "", ""},
		{"events.example.com", "", "", ""},
		{"Events.Example.Com", "", "", ""},
		{"", "", "", "host_not_allowed"},
		{"evil.example", "", "", "host_not_allowed"},
		{"localhost.evil.example", "", "", "host_not_allowed"},
		{"127.0.0.1.evil.example:8000", "", "", "host_not_allowed"},
		{"evil.example:8000", "", "", "host_not_allowed"},
		{"localhost:evil", "", "", "host_not_allowed"},
		{"localhost:8000:8000", "", "", "host_not_allowed"},
		{"localhost.", "", "", "host_not_allowed"},
		{"127.0.0.2", "", "", "host_not_allowed"},
		{"127.1", "", "", "host_not_allowed"},
		{"0.0.0.0:8000", "", "", "host_not_allowed"},
		{"2130706433", "", "", "host_not_allowed"},
		{"[::]", "", "", "host_not_allowed"},
		{"[::ffff:127.0.0.1]", "", "", "host_not_allowed"},
		{"::1", "", "", "host_not_allowed"},
		{"events.example.com.", "", "", "host_not_allowed"},
		{"localhost", "Forwarded", "for=1.2.3.4", "proxied"},
		{"localhost", "X-Forwarded-For", "1.2.3.4", "proxied"},
		{"localhost", "X-Forwarded-Host", "localhost", "proxied"},
		{"localhost", "X-Forwarded-Proto", "https", "proxied"},
		{"localhost", "x-forwarded-anything", "", "proxied"},
		{"localhost", "Via", "1.1 proxy", "proxied"},
		{"localhost", "X-Real-Ip", "1.2.3.4", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = row.host
		if row.name != "" {
			r.Header.Set(row.name, row.value)
		}
		if _, err := newGuard(t, local).CheckOrigin(r, Call{}); code(t, err) != row.code {
			t.Errorf("Host %q, %s: %s: %v, want %q", row.host, row.name, row.value, err, row.code)
		}
		// With keys, or on a network that is trusted by request, none of it counts.
		for _, opts := range []Options{{Open: true}, {Keys: []Key{{Name: "k"}}}, {Keys: []Key{{Name: "k"}}, Open: true, Local: true}} {
			if _, err := newGuard(t, opts).CheckOrigin(r, Call{}); err != nil {
				t.Errorf("%+v: Host %q: %v", opts, row.host, err)
			}
		}
	}
}

// The origins whose pages may use the broker, by the setting, with keys and without. The
// permitted origin is "" if the page is refused or needs no permission.
func TestPages(t *testing.T) {
	t.Parallel()
	const app = "https://app.example.com"
	origins := func(all ...string) []string { return all }
	for _, row := range []struct {
		allowed      []string
		origin       string
		open, withIt string // permitted without and with keys; "no" is refused
	}{
		{origins("auto"), "", "", ""},
		{origins("auto"), app, "no", "*"},
		{origins("auto"), "null", "no", "*"},
		{origins("auto"), "https://evil.example", "no", "*"},
		{origins("auto"), "http://localhost:3000", "http://localhost:3000", "*"},
		{origins("auto"), "https://LOCALHOST", "https://LOCALHOST", "*"},
		{origins("auto"), "https://127.0.0.1", "https://127.0.0.1", "*"},
		{origins("auto"), "http://[::1]:5173", "http://[::1]:5173", "*"},
		{origins("auto"), "https://events.example.com", "https://events.example.com", "*"},
		{origins("auto"), "https://events.example.com:444", "no", "*"},
		{origins("auto"), "https://sub.events.example.com", "no", "*"},
		{origins("auto"), "https://localhost.evil.example", "no", "*"},
		{origins("auto"), "https://127.0.0.1.evil.example", "no", "*"},
		{origins("auto"), "https://evil.example?localhost", "no", "*"},
		{origins("auto"), "https://localhost@evil.example", "no", "*"},
		{origins("auto"), "http://127.0.0.2", "no", "*"},
		{origins("auto"), "http://2130706433", "no", "*"},
		{origins("auto"), "http://[::ffff:127.0.0.1]", "no", "*"},
		{origins("auto"), "file://", "no", "*"},
		{origins("auto"), "ftp://localhost", "no", "*"},
		{origins("auto"), "chrome-extension://localhost", "no", "*"},
		{origins("auto"), "localhost", "no", "*"},
		{origins("auto"), "http://localhost:3000/x", "no", "*"},
		{origins("auto"), "http://localhost:8000", "", ""}, // the broker's own
		{origins("auto"), "https://LocalHost:8000", "", ""},
		{origins("auto"), "ftp://localhost:8000", "no", "*"},
		{origins(app), app, app, app},
		{origins(app), "http://app.example.com", "no", "no"},
		{origins(app), "https://app.example.com:8443", "no", "no"},
		{origins(app), "https://app.example.com.evil.example", "no", "no"},
		{origins(app), "https://xapp.example.com", "no", "no"},
		{origins(app), "https://APP.example.com", "no", "no"}, // no browser writes it so
		{origins(app), "null", "no", "no"},
		{origins(app), "http://localhost:3000", "no", "no"},
		{origins(app), "http://localhost:8000", "", ""},
		{origins("auto", app), app, app, "*"},
		{origins("auto", app), "http://localhost:3000", "http://localhost:3000", "*"},
		{origins("auto", app), "https://evil.example", "no", "*"},
		{origins("*"), "https://evil.example", "*", "*"},
		{origins("*"), "null", "*", "*"},
		{origins("*"), "", "", ""},
		{origins(app, "*"), "https://evil.example", "*", "*"},
		{nil, "http://localhost:3000", "no", "no"},
		{nil, "http://localhost:8000", "", ""},
	} {
		r := httptest.NewRequest("POST", "/publish", nil)
		r.Host = "localhost:8000"
		if row.origin != "" {
			r.Header.Set("Origin", row.origin)
		}
		for _, with := range []struct {
			opts Options
			want string
		}{
			{Options{Open: true, Local: true, Hosts: []string{"events.example.com"}, Origins: row.allowed}, row.open},
			{Options{Keys: []Key{{Name: "k"}}, Hosts: []string{"events.example.com"}, Origins: row.allowed}, row.withIt},
		} {
			page, err := newGuard(t, with.opts).CheckOrigin(r, Call{})
			got := page.Origin
			if code(t, err) == "origin_not_allowed" {
				got = "no"
			}
			if got != with.want || got != "" && page.Varies == (got == "*") {
				t.Errorf("%q, Origin %q, keys %t: %+v %v, want %q", row.allowed, row.origin, with.opts.Keys != nil, page, err, with.want)
			}
			// Calls for administrators are for the broker's own pages, whatever is set.
			if _, err := newGuard(t, with.opts).CheckOrigin(r, Call{Admin: true}); (err == nil) != (with.want == "") {
				t.Errorf("%q, Origin %q, for administrators: %v", row.allowed, row.origin, err)
			}
		}
	}
}

// Requests without an Origin, by what the browser says about their source, for calls of
// each kind. Columns: without keys, with keys, some origins allowed, all allowed. Letters
// are refused calls: c of clients, a of operators, f files that pages load, p the
// console's page.
func TestFetchMetadata(t *testing.T) {
	t.Parallel()
	calls := []struct {
		letter string
		Call
	}{{"c", Call{}}, {"a", Call{Admin: true}}, {"f", Call{Shown: true}}, {"p", Call{Admin: true, Shown: true}}}
	keys := []Key{{Name: "k"}}
	for _, row := range []struct {
		site, mode, dest          string
		open, keyed, listed, each string // refused
	}{
		{"", "", "", "", "", "", ""}, // no browser, or an old one
		{"none", "navigate", "document", "", "", "", ""},
		{"same-origin", "navigate", "document", "", "", "", ""},
		{"same-origin", "no-cors", "script", "", "", "", ""},
		{"same-origin", "cors", "empty", "", "", "", ""},
		{"same-site", "no-cors", "image", "cap", "ap", "cap", "ap"},
		{"same-site", "navigate", "document", "ca", "a", "ca", "a"},
		{"cross-site", "no-cors", "image", "cap", "ap", "cap", "ap"},
		{"cross-site", "no-cors", "script", "cap", "ap", "cap", "ap"},
		{"cross-site", "no-cors", "empty", "cap", "ap", "cap", "ap"},
		{"cross-site", "navigate", "document", "ca", "a", "ca", "a"},
		{"cross-site", "navigate", "iframe", "cap", "ap", "cap", "ap"},
		{"cross-site", "navigate", "", "cap", "ap", "cap", "ap"},
		{"cross-site", "", "document", "cap", "ap", "cap", "ap"},
		{"cross-site", "websocket", "websocket", "cap", "ap", "cap", "ap"},
		{"Cross-Site", "no-cors", "image", "cap", "ap", "cap", "ap"}, // no browser writes it so
		{"elsewhere", "no-cors", "image", "cap", "ap", "cap", "ap"},
	} {
		for _, with := range []struct {
			opts Options
			want string
		}{
			{Options{Open: true, Local: true, Origins: []string{"auto"}}, row.open},
			{Options{Open: true, Local: true, Ours: true}, row.open},
			{Options{Keys: keys, Origins: []string{"auto"}}, row.keyed},
			{Options{Keys: keys, Origins: []string{"https://app.example.com"}}, row.listed},
			{Options{Open: true, Local: true, Origins: []string{"*"}}, row.each},
		} {
			refused := ""
			for _, c := range calls {
				r := httptest.NewRequest("GET", "/", nil)
				r.Host = "localhost:8000"
				for name, value := range map[string]string{"Sec-Fetch-Site": row.site, "Sec-Fetch-Mode": row.mode, "Sec-Fetch-Dest": row.dest} {
					if value != "" {
						r.Header.Set(name, value)
					}
				}
				if _, err := newGuard(t, with.opts).CheckOrigin(r, c.Call); code(t, err) == "origin_not_allowed" {
					refused += c.letter
				} else if err != nil {
					t.Error(err)
				}
			}
			if refused != with.want {
				t.Errorf("%+v, %s %s %s: refused %q, want %q", with.opts, row.site, row.mode, row.dest, refused, with.want)
			}
		}
	}
}

// A page with an origin is judged by that, whatever else the browser says.
func TestOriginBeforeFetchMetadata(t *testing.T) {
	t.Parallel()
	guard := newGuard(t, Options{Open: true, Local: true, Origins: []string{"auto"}})
	for origin, want := range map[string]string{"http://localhost:3000": "", "http://localhost:8000": "", "https://evil.example": "origin_not_allowed", "null": "origin_not_allowed"} {
		for _, site := range []string{"", "none", "same-origin", "same-site", "cross-site"} {
			r := httptest.NewRequest("GET", "/sse?topic=a", nil)
			r.Host = "localhost:8000"
			r.Header.Set("Origin", origin)
			r.Header.Set("Sec-Fetch-Site", site)
			if _, err := guard.CheckOrigin(r, Call{}); code(t, err) != want {
				t.Errorf("%s, %s: %v, want %q", origin, site, err, want)
			}
		}
	}
}
