package api_test

import (
	"crypto/tls"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belfry/api"
	"belfry/hub"
)

type registered struct {
	URL       string `json:"url"`
	Path      string `json:"path"`
	ClientID  string `json:"client_id"`
	ExpiresAt string `json:"expires_at"`
}

func TestRegister(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	before := time.Now()
	w := b.call("POST", "http://broker.example:8000/register", `{"user_id":1}`)
	var got registered
	b.answer(w, &got)
	if _, ok := hub.ParseID(got.ClientID); !ok || got.Path != "/ws/"+got.ClientID || got.URL != "ws://broker.example:8000"+got.Path {
		t.Errorf("got %+v", got)
	}
	if got.ClientID[12] != '4' || strings.ToLower(got.ClientID) != got.ClientID {
		t.Errorf("%s is no UUID of version 4 in lower case", got.ClientID)
	}
	expires, err := time.Parse(time.RFC3339, got.ExpiresAt)
	if err != nil || !strings.HasSuffix(got.ExpiresAt, "Z") || expires.Before(before.Add(time.Hour-time.Second)) || expires.After(time.Now().Add(time.Hour)) {
		t.Errorf("expires_at %s", got.ExpiresAt)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("a ticket may be stored")
	}
}

// A user is identified by the user_id of publishes to it.
func TestRegisterUser(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("9", 255)
	for _, c := range [][2]string{
		{`1`, `"1"`}, {`"1"`, `1`}, {`-0`, `"0"`}, {`0`, `-0`}, {`-7`, `"-7"`}, {`"\u0061"`, `"a"`}, {`" "`, `" "`},
		{`18446744073709551617`, `"18446744073709551617"`}, {long, `"` + long + `"`}, {`"é😀"`, `"\u00e9\ud83d\ude00"`}, {`"-0"`, `"-0"`},
	} {
		b := newBroker(t)
		b.register(`{"user_id":` + c[0] + `}`)
		var got receipt
		b.answer(b.call("POST", "/publish", `{"topic":"cats","user_id":`+c[1]+`,"message":1}`), &got)
		if got.Matched != 1 {
			t.Errorf("%s is not the user %s", c[0], c[1])
		}
	}
}

func TestUsersAreNotMixedUp(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]string{{`1`, `2`}, {`"1"`, `"01"`}, {`"-0"`, `0`}, {`9007199254740993`, `9007199254740992`}, {`"a"`, `"A"`}, {`"a"`, `"a "`}} {
		b := newBroker(t)
		b.register(`{"user_id":` + c[0] + `}`)
		var got receipt
		b.answer(b.call("POST", "/publish", `{"topic":"cats","user_id":`+c[1]+`,"message":1}`), &got)
		if got.Matched != 0 {
			t.Errorf("%s is the user %s", c[0], c[1])
		}
	}
}

func TestRegisterTopics(t *testing.T) {
	t.Parallel()
	for body, want := range map[string][]string{
		`{"user_id":1}`: {"cats"},
		`{"user_id":1,"topic":null,"topics":null}`:               {"cats"},
		`{"user_id":1,"topic":"dogs"}`:                           {"dogs"},
		`{"user_id":1,"topics":["dogs","birds.*"]}`:              {"dogs", "birds.blue"},
		`{"user_id":1,"topics":["a","b","c","d"],"topic":null}`:  {"a", "b", "c", "d"},
		`{"user_id":1,"topics":["dogs","dogs"]}`:                 {"dogs"},
		`{"user_id":1,"topics":[]}`:                              nil,
		" \r\n\t{ \"user_id\" : 1 , \"topics\" : [ \">\" ] }\n ": {"cats", "dogs", "x.y.z"},
	} {
		b := newBroker(t)
		b.register(body)
		for _, topic := range append(want, "other") {
			var got receipt
			b.answer(b.call("POST", "/publish", `{"topic":"`+topic+`","message":""}`), &got)
			if wantMatched := topic != "other" || strings.Contains(body, ">"); (got.Matched == 1) != wantMatched {
				t.Errorf("%s: %s matched %d", body, topic, got.Matched)
			}
		}
	}
}

func TestRegisterURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		public, host string
		tls          bool
		want         string
	}{
		{"", "localhost", false, "ws://localhost"},
		{"", "localhost:8000", true, "wss://localhost:8000"},
		{"", "[::1]:8000", false, "ws://[::1]:8000"},
		{"", "[::ffff:1.2.3.4]", false, "ws://[::ffff:1.2.3.4]"},
		{"", "my_host.Example.com.", false, "ws://my_host.Example.com."},
		{"http://broker.example", "evil<script>", false, "ws://broker.example"},
		{"https://broker.example:444/some/where/", "x", false, "wss://broker.example:444/some/where"},
		{"https://broker.example/", "x", false, "wss://broker.example"},
	} {
		b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.PublicURL = c.public })
		r := request("POST", "/register", strings.NewReader(`{"user_id":1}`), "Host", c.host)
		if c.tls {
			r.TLS = &tls.ConnectionState{}
		}
		w := httptest.NewRecorder()
		b.ServeHTTP(w, r)
		var got registered
		b.answer(w, &got)
		if got.URL != c.want+got.Path || got.Path != "/ws/"+got.ClientID {
			t.Errorf("%+v: got %s", c, got.URL)
		}
	}
}

func TestUnregister(t *testing.T) {
	t.Parallel()
	b := newBroker(t)
	id := b.register(`{"user_id":1}`)
	for _, c := range []struct {
		id   string
		want bool
	}{{"nonsense", false}, {"%2F", false}, {strings.Repeat("0", 32), false}, {id[:31], false}, {strings.ToUpper(id), true}, {id, false}} {
		var got struct {
			Removed *bool `json:"removed"`
		}
		b.answer(b.call("DELETE", "/register/"+c.id, ""), &got)
		if got.Removed == nil || *got.Removed != c.want {
			t.Errorf("%s: got %v, want %v", c.id, got.Removed, c.want)
		}
	}
	if n := b.stats().Clients; n != 0 {
		t.Errorf("%d clients are left", n)
	}
}
