package api_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"belfry/api"
	"belfry/api/auth"
	"belfry/hub"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A broker is the API before a hub that runs, with one courier.
type broker struct {
	*api.Server
	t      testing.TB
	hub    *hub.Hub
	stop   func()      // ends the hub, and waits for it
	frames chan string // what the courier has written
}

// A setup changes the options of a broker.
type setup func(*hub.Options, *api.Options)

const (
	testMaxBody    = 1 << 10
	testMaxMessage = 100
	testMaxDepth   = 8
	testMaxTopics  = 4
)

// A fakeTransport is one without connections, that tests can have do something else.
type fakeTransport struct {
	admit          func(hub.Want) error
	accept, stream func(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error
	inspect        func(context.Context, []*hub.Conn) []hub.ConnInfo
	figures        func(context.Context) api.Connections
	event          func(dst []byte, ev *hub.Event) []byte
}

func fake(o *api.Options) *fakeTransport { return o.Transport.(*fakeTransport) }

func (f *fakeTransport) Accept(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error {
	switch {
	case f.accept != nil:
		return f.accept(w, r, want, invalid)
	case invalid != nil:
		return invalid
	}
	return f.admit(want)
}

func (f *fakeTransport) Stream(w http.ResponseWriter, r *http.Request, want hub.Want, invalid error) error {
	if f.stream != nil {
		return f.stream(w, r, want, invalid)
	}
	return f.Accept(w, r, want, invalid)
}

func (f *fakeTransport) Inspect(ctx context.Context, conns []*hub.Conn) []hub.ConnInfo {
	if f.inspect != nil {
		return f.inspect(ctx, conns)
	}
	return make([]hub.ConnInfo, len(conns))
}

func (f *fakeTransport) Figures(ctx context.Context) (c api.Connections) {
	if f.figures != nil {
		c = f.figures(ctx)
	}
	return c
}

func (f *fakeTransport) AppendEvent(dst []byte, ev *hub.Event) []byte {
	return f.event(dst, ev)
}

func (f *fakeTransport) AppendReceipt(dst []byte, topic string, r hub.Receipt) []byte {
	return fmt.Appendf(dst, `{"id":%q,"cursor":%q,"topic":%q,"matched":%d,"queued":%d,"scope":"node","duplicate":%t}`, r.ID, r.Cursor, topic, r.Matched, r.Queued, r.Duplicate)
}

func newBroker(t testing.TB, setups ...setup) *broker {
	hubOpts := hub.Options{
		Epoch:       1,
		Clock:       time.Now,
		Encoders:    []hub.Encoder{func(e *hub.Event, _ hub.Cursor) []byte { return e.Message }},
		Limits:      hub.Limits{MaxClients: 100, MaxConnections: 100, MaxSubscriptions: testMaxTopics},
		RegisterTTL: time.Hour, ResumeWindow: time.Hour,
		HistoryEvents: 100, HistoryAge: time.Hour, HistoryBytes: 1 << 20,
		DedupeWindow: time.Minute, DedupeBytes: 1 << 20,
		Couriers: 1, Backlog: 1000, BacklogBytes: 1 << 20, Queue: 16, PublishTimeout: 5 * time.Second,
	}
	everybody, err := auth.New(auth.Options{Open: true, Origins: []string{"*"}})
	if err != nil {
		t.Fatal(err)
	}
	apiOpts := api.Options{
		Guard: func() *auth.Guard { return everybody },
		Limits: api.Limits{
			DefaultTopics: []string{"cats"}, MaxTopics: testMaxTopics, MaxBody: testMaxBody, MaxMessage: testMaxMessage, MaxDepth: testMaxDepth,
		},
		Transport: &fakeTransport{},
		Version:   "1.2.3",
		Started:   time.Now(),
	}
	for _, s := range setups {
		s(&hubOpts, &apiOpts)
	}
	h := hub.New(hubOpts)
	apiOpts.Hub = h
	fake(&apiOpts).admit = func(want hub.Want) error {
		if !want.Registered {
			return h.AdmitNew(want.User, len(want.Topics))
		}
		return h.Admit(want.ID)
	}
	b := &broker{Server: api.New(apiOpts), t: t, hub: h, frames: make(chan string, 100)}
	ctx, cancel := context.WithCancel(context.Background())
	go h.Run(ctx)
	courier := make(chan struct{})
	go func() {
		defer close(courier)
		b.deliver(ctx)
	}()
	b.stop = func() { cancel(); <-h.Done(); <-courier }
	t.Cleanup(b.stop)
	return b
}

// receiptOf publishes, and waits for the receipt.
func receiptOf(publish hub.Publisher, req hub.PublishRequest) (hub.Receipt, error) {
	receipt, err := publish(req)
	if err != nil {
		return hub.Receipt{}, err
	}
	return receipt()
}

// deliver plays the courier.
func (b *broker) deliver(ctx context.Context) {
	for {
		select {
		case batch := <-b.hub.Batches(0):
			for i, op := range batch.Ops {
				if op.Frame != nil {
					for range batch.Targets(i) {
						select {
						case b.frames <- string(op.Frame.Bytes):
						case <-ctx.Done():
						}
					}
				}
			}
			if b.hub.BatchDone(0, batch) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// call asks the API. The header is a list of names and values.
func (b *broker) call(method, target, body string, header ...string) *httptest.ResponseRecorder {
	return serve(b, request(method, target, strings.NewReader(body), header...))
}

func serve(b *broker, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

func request(method, target string, body io.Reader, header ...string) *http.Request {
	r := httptest.NewRequest(method, target, body)
	for i := 0; i < len(header); i += 2 {
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
		r.Header.Add(header[i], header[i+1])
	}
	return r
}

// register adds a client and returns its id.
func (b *broker) register(body string) string {
	b.t.Helper()
	var got struct {
		ClientID string `json:"client_id"`
	}
	b.answer(b.call("POST", "/register", body), &got)
	return got.ClientID
}

// connect gives a client a connection that its courier writes to b.frames. An event may
// overtake the hub's being told of it, so it waits until the hub has begun it.
func (b *broker) connect(id string) {
	b.t.Helper()
	key, _ := hub.ParseID(id)
	if err := b.hub.Attach(key, &hub.Conn{}, hub.From{}); err != nil {
		b.t.Fatal(err)
	}
	b.stats()
}

// stats are the hub's figures, but for one that also tells of being asked.
func (b *broker) stats() hub.Stats {
	b.t.Helper()
	s, err := b.hub.Stats()
	if err != nil {
		b.t.Fatal(err)
	}
	s.LongestTurn = 0
	return s
}

// answer checks a 200 and reads its JSON.
func (b *broker) answer(w *httptest.ResponseRecorder, into any) {
	b.t.Helper()
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "application/json" {
		b.t.Fatalf("got %d %s %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if err := json.Unmarshal(w.Body.Bytes(), into); err != nil {
		b.t.Fatalf("%v: %s", err, w.Body)
	}
}

// A document is a problem as it is sent.
type document struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Index     *int   `json:"index"` // in a list

	// Of a gap.
	Topics []string `json:"topics"`
	From   string   `json:"from"`
	To     string   `json:"to"`
	Reason string   `json:"reason"`
}

// problem checks that a response is a problem with that status and code.
func problem(t testing.TB, w *httptest.ResponseRecorder, status int, code string) document {
	t.Helper()
	var p document
	if got := w.Header().Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("%d %s: Content-Type %q", w.Code, w.Body, got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), &p, json.RejectUnknownMembers(true)); err != nil {
		t.Errorf("%v: %s", err, w.Body)
	}
	if w.Code != status || p.Status != status || p.Code != code {
		t.Errorf("got %d %s, want %d %s: %s", w.Code, p.Code, status, code, w.Body)
	}
	if p.Type != "about:blank" || p.Title != http.StatusText(status) || len(p.Detail) < 20 || p.RequestID != w.Header().Get("X-Request-Id") {
		t.Errorf("the problem is not complete: %s", w.Body)
	}
	if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) != (w.Header().Get("Retry-After") != "") {
		t.Errorf("%d with Retry-After %q", status, w.Header().Get("Retry-After"))
	}
	if (status == http.StatusGone) != (p.Topics != nil && p.From != "" && p.To != "" && p.Reason != "") {
		t.Errorf("%d with a gap of %q: %s", status, p.Topics, w.Body)
	}
	return p
}
