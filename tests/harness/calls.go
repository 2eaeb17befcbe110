package harness

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The tests' ways to talk to the broker: HTTP calls, a peer of an independent
// implementation, and a wire on which a test can misbehave.

// Patience bounds every wait for something that must happen. It is never
// waited for in a test that passes.
const Patience = time.Minute

// ShortTime is a time-out that a test is about and waits for. Peers that it bounds
// have that long, on a busy machine as well, for what comes before.
const ShortTime = 3 * time.Second

// Eventually waits until cond holds: for what no frame, no answer and no end of
// a connection tells. It asks less and less often, for asking is work as well.
func Eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.After(Patience)
	for pause := time.Millisecond; !cond(); pause = min(2*pause, 32*time.Millisecond) {
		select {
		case <-limit:
			t.Fatalf("it has not come true in %v: %s", Patience, what)
		case <-time.After(pause):
		}
	}
}

// An Answer is a response to an HTTP call.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// Do makes an HTTP call. The header is a list of names and values.
func (b *Broker) Do(method, target, body string, header ...string) (Answer, error) {
	req, err := http.NewRequest(method, b.URL("http", target), strings.NewReader(body))
	if err != nil {
		return Answer{}, err
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := b.HTTP.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return Answer{res.StatusCode, res.Header, string(got)}, err
}

func (b *Broker) Call(t *testing.T, method, target, body string, header ...string) Answer {
	t.Helper()
	got, err := b.Do(method, target, body, header...)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// Ask makes a call that succeeds and reads the JSON of its answer.
func Ask[T any](t *testing.T, b *Broker, method, target, body string, header ...string) (value T) {
	t.Helper()
	got := b.Call(t, method, target, body, header...)
	if got.Status != http.StatusOK || got.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%s %s %s: got %d %s", method, target, body, got.Status, got.Body)
	}
	if err := json.Unmarshal([]byte(got.Body), &value); err != nil {
		t.Fatalf("%s %s %s: %v: %s", method, target, body, err, got.Body)
	}
	return value
}

// Problem checks that an answer is a problem document with that status and
// code.
func (got Answer) Problem(t *testing.T, status int, code string) {
	t.Helper()
	var doc struct {
		Status       int
		Code, Detail string
	}
	if got.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("the answer is no problem document, want %d %s: %d %s", status, code, got.Status, got.Body)
	} else if err := json.Unmarshal([]byte(got.Body), &doc); err != nil {
		t.Errorf("%v: %s", err, got.Body)
	} else if got.Status != status || doc.Status != status || doc.Code != code || doc.Detail == "" {
		t.Errorf("got %d, want %d %s: %s", got.Status, status, code, got.Body)
	}
}

// A Registration is what POST /register answers.
type Registration struct {
	URL       string    `json:"url"`
	Path      string    `json:"path"`
	ClientID  string    `json:"client_id"`
	ExpiresAt time.Time `json:"expires_at"`
}

func (b *Broker) Register(t *testing.T, body string) Registration {
	t.Helper()
	return Ask[Registration](t, b, "POST", "/register", body)
}

// Unregister removes a client and reports whether it was there.
func (b *Broker) Unregister(t *testing.T, r Registration) bool {
	t.Helper()
	return Ask[struct{ Removed bool }](t, b, "DELETE", "/register/"+r.ClientID, "").Removed
}

// A Receipt is what POST /publish answers.
type Receipt struct {
	ID, Cursor, Topic, Scope string
	Matched, Queued          int
	Duplicate                bool
}

func (b *Broker) Publish(t *testing.T, body string) Receipt {
	t.Helper()
	return Ask[Receipt](t, b, "POST", "/publish", body)
}

// PublishAll publishes a list of events.
func (b *Broker) PublishAll(t *testing.T, bodies []string) {
	t.Helper()
	got := b.Call(t, "POST", "/publish", "["+strings.Join(bodies, ",")+"]")
	if got.Status != http.StatusOK || strings.Contains(got.Body, `"code"`) {
		t.Fatalf("got %d %s", got.Status, got.Body)
	}
}

// Event is the body of a publish of a message that is a text.
func Event(topic, text string) string {
	quoted, _ := json.Marshal(text) // of strings it can
	return `{"topic":"` + topic + `","message":` + string(quoted) + `}`
}

// Census is the part of GET /health that tells how many there are of what.
type Census struct{ Clients, Connected, Topics int }

func (b *Broker) Census(t *testing.T) Census {
	t.Helper()
	return Ask[Census](t, b, "GET", "/health", "")
}

// Metric returns the value of a series of /metrics, by its name and labels as
// they are written there.
func (b *Broker) Metric(t *testing.T, series string) float64 {
	t.Helper()
	for line := range strings.SplitSeq(b.Call(t, "GET", "/metrics", "").Body, "\n") {
		if text, ok := strings.CutPrefix(line, series+" "); ok {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	t.Fatalf("/metrics has no %s", series)
	return 0
}

// Away waits until none of the broker's clients is connected.
func (b *Broker) Away(t *testing.T) {
	t.Helper()
	Eventually(t, "no client is connected", func() bool { return b.Census(t).Connected == 0 })
}
