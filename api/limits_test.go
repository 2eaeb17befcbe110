package api_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"belfry/api"
	"belfry/api/forwarded"
	"belfry/api/limit"
	"belfry/hub"
)

// limited has limits and a clock that stands still.
func limited(l limit.Limits, p limit.PublishLimits) setup {
	return func(_ *hub.Options, o *api.Options) {
		now := time.Now()
		o.Clock = func() time.Time { return now }
		o.Gate, o.Publishers = limit.NewGate(l, o.Clock), limit.NewPublishers(p, o.Clock)
	}
}

const catsBody = `{"topic":"cats","message":1}`

func TestPublishRate(t *testing.T) {
	t.Parallel()
	b := newBroker(t, limited(limit.Limits{}, limit.PublishLimits{Other: 2}))
	for i, left := range []string{"1", "0"} {
		w := b.call("POST", "/publish", catsBody)
		if w.Code != 200 || w.Header().Get("RateLimit-Policy") != `"publish";q=2;w=1` || w.Header().Get("RateLimit") != `"publish";r=`+left+`;t=1` {
			t.Errorf("publish %d: %d %v", i, w.Code, w.Header())
		}
	}
	before := b.stats().Published
	for _, body := range []string{catsBody, `{`, strings.Repeat("x", testMaxBody+1)} { // it is not even looked at
		w := b.call("POST", "/publish", body)
		problem(t, w, 429, "too_many_publishes")
		if w.Header().Get("Retry-After") != "1" || w.Header().Get("RateLimit") != `"publish";r=0;t=1` {
			t.Errorf("refused: %v", w.Header())
		}
	}
	if got := b.stats().Published; got != before {
		t.Errorf("%d events were published by requests that were refused", got-before)
	}
	if page := b.call("GET", "/metrics", "").Body.String(); !strings.Contains(page, `belfry_refused_total{limit="max_publish_rate"} 3`) {
		t.Error(page)
	}
	w := b.call("POST", "/register", `{"user_id":1}`)
	if w.Code != 200 || w.Header().Get("RateLimit-Policy") != "" {
		t.Errorf("others are limited: %d %v", w.Code, w.Header())
	}
}

// Each key has its own rate, and so has each user of tokens. Nobody pays for others.
func TestPublishRateOfEach(t *testing.T) {
	t.Parallel()
	b := newBroker(t, limited(limit.Limits{}, limit.PublishLimits{Other: 1, Keys: map[string]float64{"publisher": 0.5, "everything": 0}, User: 2}),
		func(_ *hub.Options, o *api.Options) { o.Guard = testGuard(t) })
	token := func() string { return testToken(t, time.Now().Add(time.Hour), nil, []string{">"}) }
	for _, c := range []struct {
		bearer string
		may    int
		retry  string
	}{
		{"bk_publisher", 1, "2"}, {"bk_everything", 10, ""}, {"bk_nowhere", 1, "1"}, {token(), 2, "1"}, {token(), 0, "1"},
	} {
		for i := range 10 {
			w := b.call("POST", "/publish", `{"topic":"orders.1","message":1}`, "Authorization", "Bearer "+c.bearer)
			if (w.Code != 429) != (i < c.may) || w.Code == 429 && w.Header().Get("Retry-After") != c.retry {
				t.Errorf("%.20s, publish %d of %d: %d %v", c.bearer, i, c.may, w.Code, w.Header())
			}
		}
	}
}

// Credentials are not even checked when there are too many requests.
func TestHandshakeRates(t *testing.T) {
	t.Parallel()
	var invalid atomic.Pointer[error]
	b := newBroker(t, limited(limit.Limits{AddressHandshakes: 2, Handshakes: 5}, limit.PublishLimits{}), func(_ *hub.Options, o *api.Options) {
		o.Guard = testGuard(t)
		fake(o).accept = func(_ http.ResponseWriter, _ *http.Request, _ hub.Want, err error) error {
			invalid.Store(&err)
			return err
		}
	})
	connect := func(addr, target string) int {
		r := request("GET", target, strings.NewReader(""))
		r.RemoteAddr = addr
		return serve(b, r).Code
	}
	for _, target := range []string{"/ws/" + nowhere, "/ws?topic=orders.1"} {
		connect("198.51.100.1:1", target)
	}
	r := request("GET", "/ws?topic=orders.1", strings.NewReader(""), "Authorization", "Bearer bk_viewer")
	r.RemoteAddr = "198.51.100.1:2"
	w := serve(b, r)
	problem(t, w, 429, "too_many_handshakes")
	if err := *invalid.Load(); !errors.Is(err, hub.ErrOverCapacity) {
		t.Errorf("the transport is told %v", err)
	}
	for port := range 3 {
		if code := connect(fmt.Sprintf("127.0.0.1:%d", port), "/sse?topic=orders.1"); code != 401 {
			t.Errorf("this machine is refused: %d", code)
		}
	}
	r = request("GET", "/sse?topic=orders.1", strings.NewReader(""))
	r.RemoteAddr = "198.51.100.2:1"
	problem(t, serve(b, r), 503, "over_capacity")
}

func TestOverloaded(t *testing.T) {
	t.Parallel()
	var full atomic.Bool
	b := newBroker(t, func(_ *hub.Options, o *api.Options) { o.Overloaded = func(limit.Need) bool { return full.Load() } })
	id := b.register(`{"user_id":1}`)
	calls := [][3]string{
		{"POST", "/publish", catsBody}, {"POST", "/register", `{"user_id":1}`}, {"GET", "/ws/" + id, ""}, {"GET", "/sse?topic=a", ""},
		{"GET", "/topics/cats/events", ""}, {"GET", "/health/ready", ""},
	}
	full.Store(true)
	for _, c := range calls {
		w := b.call(c[0], c[1], c[2])
		problem(t, w, 503, "over_capacity")
		if w.Header().Get("Retry-After") != "5" {
			t.Errorf("%s: %v", c[1], w.Header())
		}
	}
	for _, c := range [][2]string{{"GET", "/health"}, {"GET", "/health/live"}, {"GET", "/metrics"}, {"DELETE", "/register/" + id}} {
		if w := b.call(c[0], c[1], ""); w.Code != 200 {
			t.Errorf("%s %s: %d %s", c[0], c[1], w.Code, w.Body)
		}
	}
	if page := b.call("GET", "/metrics", "").Body.String(); !strings.Contains(page, `belfry_refused_total{limit="max_memory"} 5`) {
		t.Error("refusals are not counted, or those of probes are")
	}
	full.Store(false)
	for _, c := range calls {
		if w := b.call(c[0], c[1], c[2]); w.Code == 503 {
			t.Errorf("%s: %d %s", c[1], w.Code, w.Body)
		}
	}
}

// Every limit that the hub or the reading of a request keeps is counted.
func TestRefusedTotal(t *testing.T) {
	t.Parallel()
	b := newBroker(t, func(h *hub.Options, _ *api.Options) { h.MaxClients, h.MaxUserClients = 2, 1 })
	b.register(`{"user_id":1}`)
	for _, c := range [][2]string{
		{"/register", `{"user_id":1}`},
		{"/register", `{"user_id":2}`},
		{"/register", `{"user_id":3}`},
		{"/publish", strings.Repeat("x", testMaxBody+1)},
		{"/publish", `{"topic":"cats","message":"` + strings.Repeat("x", testMaxMessage+1) + `"}`},
		{"/publish", `{"topic":"cats","message":` + strings.Repeat("[", testMaxDepth) + strings.Repeat("]", testMaxDepth) + `}`},
		{"/register", `{"user_id":1,"topics":["a","b","c","d","e"]}`},
	} {
		b.call("POST", c[0], c[1])
	}
	page := b.call("GET", "/metrics", "").Body.String()
	for _, name := range []string{"max_clients", "max_user_clients", "max_body", "max_message", "max_depth", "max_subscriptions"} {
		if !strings.Contains(page, `belfry_refused_total{limit="`+name+`"} 1`) {
			t.Errorf("%s is not counted", name)
		}
	}
}

// The address and the scheme from a trusted proxy are the client's.
func TestBehindProxy(t *testing.T) {
	t.Parallel()
	gate := limit.NewGate(limit.Limits{AddressConnections: 1}, nil)
	proxies, err := forwarded.New([]string{"10.0.0.1"}, forwarded.XForwardedFor)
	if err != nil {
		t.Fatal(err)
	}
	gate.SetProxies(proxies)
	var open atomic.Pointer[func()]
	b, logs := logged(t, zap.NewAtomicLevelAt(zap.InfoLevel), func(_ *hub.Options, o *api.Options) {
		o.Gate, o.MaxWait = gate, time.Minute
		fake(o).stream = func(_ http.ResponseWriter, _ *http.Request, _ hub.Want, err error) error {
			if err == nil {
				(*open.Load())()
			}
			return err
		}
	})
	from := func(remote, method, target, body string) *http.Request {
		r := request(method, target, strings.NewReader(body), "X-Forwarded-For", "192.0.2.66, 198.51.100.1", "X-Forwarded-Proto", "https", "Host", "example.com")
		r.RemoteAddr = remote
		return r
	}
	if w := serve(b, from("10.0.0.1:1", "POST", "/register", `{"user_id":1}`)); !strings.Contains(w.Body.String(), `"wss://example.com/ws/`) {
		t.Error(w.Body)
	}
	if w := serve(b, from("10.0.0.2:1", "POST", "/register", `{"user_id":1}`)); !strings.Contains(w.Body.String(), `"ws://example.com/ws/`) {
		t.Error(w.Body)
	}
	var remotes []any
	for _, line := range logs.All() {
		remotes = append(remotes, line.ContextMap()["remote"])
	}
	if len(remotes) != 2 || remotes[0] != "198.51.100.1" || remotes[1] != "10.0.0.2:1" {
		t.Errorf("the log has %v", remotes)
	}

	// A stream counts while it lasts, and so does a request that waits.
	nested := func() {
		if n := gate.Holdings().Addresses; n != 1 {
			t.Errorf("%d addresses have connections", n)
		}
		for _, target := range []string{"/sse?topic=a", "/topics/a/events?wait=1s"} {
			problem(t, serve(b, from("10.0.0.1:1", "GET", target, "")), 429, "too_many_address_connections")
		}
	}
	open.Store(&nested)
	serve(b, from("10.0.0.1:1", "GET", "/sse?topic=a", ""))
	if n := gate.Holdings().Addresses; n != 0 {
		t.Errorf("%d addresses have connections in the end", n)
	}
}

// TestNeeds: as memory runs short, new connections are refused first, then publishes of
// users, and publishes with a key last.
func TestNeeds(t *testing.T) {
	t.Parallel()
	var refused atomic.Int32 // needs below this one are
	memory := func(_ *hub.Options, o *api.Options) {
		o.Overloaded = func(n limit.Need) bool { return int32(n) < refused.Load() }
	}
	guard := testGuard(t)
	keyed := newBroker(t, memory, func(_ *hub.Options, o *api.Options) { o.Guard = guard })
	open := newBroker(t, memory)
	token := testToken(t, time.Now().Add(time.Hour), []string{">"}, []string{">"})
	const event = `{"topic":"orders.1","message":1}`
	calls := []struct {
		name                 string
		to                   *broker
		method, target, body string
		bearer               string
		until                int32 // it is refused from so many needs on
	}{
		{"a registration", keyed, "POST", "/register", `{"user_id":1}`, "bk_everything", 1},
		{"a connection", keyed, "GET", "/sse?topic=orders.1", "", "bk_everything", 1},
		{"a request that may wait", keyed, "GET", "/topics/orders.1/events", "", "bk_everything", 1},
		{"ready", keyed, "GET", "/health/ready", "", "", 1},
		{"a user's publish", keyed, "POST", "/publish", event, token, 2},
		{"a program's publish", keyed, "POST", "/publish", event, "bk_everything", 3},
		{"a publish without keys", open, "POST", "/publish", event, "", 3},
		{"a registration without keys", open, "POST", "/register", `{"user_id":1}`, "", 1},
	}
	for n := range int32(limit.Needs) + 1 {
		refused.Store(n)
		for _, c := range calls {
			var header []string
			if c.bearer != "" {
				header = []string{"Authorization", "Bearer " + c.bearer}
			}
			w := c.to.call(c.method, c.target, c.body, header...)
			if want := n >= c.until; (w.Code == 503) != want {
				t.Errorf("%s, when %d needs are refused: %d %s", c.name, n, w.Code, w.Body)
			}
		}
	}
	backend, err := guard().Check("bk_everything")
	if err != nil {
		t.Fatal(err)
	}
	publish := keyed.Publisher(backend)
	for n, want := range map[int32]bool{0: true, 2: true, 3: false} {
		refused.Store(n)
		if _, err := receiptOf(publish, hub.PublishRequest{Topic: "orders.1", Message: []byte("1")}); (err == nil) != want {
			t.Errorf("a publish over a connection, when %d needs are refused: %v", n, err)
		}
	}
}
