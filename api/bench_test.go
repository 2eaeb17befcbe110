package api_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"belfry/api"
	"belfry/api/limit"
	"belfry/hub"
)

// bare is POST /publish as one would write it without a wrapper, a router, a
// log, metrics or errors worth reading. What the API costs shows beside it.
func bare(h *hub.Hub) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		var req struct {
			Topic   string         `json:"topic"`
			User    jsontext.Value `json:"user_id"`
			Message jsontext.Value `json:"message"`
		}
		if err := json.Unmarshal(body, &req, json.RejectUnknownMembers(true)); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		message, err := jsontext.AppendUnquote(nil, req.Message)
		if err == nil {
			err = hub.CheckTopic(req.Topic)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
		defer cancel()
		id := uuid.Must(uuid.NewV7()).String()
		done, err := h.Publish(ctx, hub.Event{ID: id, Topic: req.Topic, Time: time.Now(), Message: message})
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.MarshalWrite(w, &receipt{
			ID: id, Cursor: done.Cursor.String(), Topic: req.Topic, Matched: done.Matched, Queued: done.Queued, Scope: "node", Duplicate: new(bool),
		})
	})
}

// production has the limits and the log that a broker has by default.
func production(b *testing.B, setups ...setup) *broker {
	return newBroker(b, append(setups, wide, func(_ *hub.Options, o *api.Options) {
		o.MaxDepth = 64
		o.Log = zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.InfoLevel))
		fake(o).accept = func(http.ResponseWriter, *http.Request, hub.Want, error) error { return nil }
	})...)
}

// fast is a limit that nothing comes to.
func fast(_ *hub.Options, o *api.Options) {
	o.Publishers = limit.NewPublishers(limit.PublishLimits{Other: 1e9}, nil)
}

// A discard is a ResponseWriter that costs as little as there can be.
type discard struct{ header http.Header }

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}

const benchBody = `{"topic":"cats","user_id":null,"message":"are awesome, and so is a message of an ordinary length"}`

func BenchmarkPublish(b *testing.B) {
	broker := production(b)
	b.Run("handler/bare", func(b *testing.B) { benchHandler(b, bare(broker.hub), benchBody) })
	b.Run("handler/api", func(b *testing.B) { benchHandler(b, broker, benchBody) })
	b.Run("handler/list of 100", func(b *testing.B) {
		benchHandler(b, broker, "["+strings.Repeat(benchBody+",", 99)+benchBody+"]")
	})
	b.Run("handler/limited", func(b *testing.B) { benchHandler(b, production(b, fast), benchBody) })
	b.Run("server/bare", func(b *testing.B) { benchServer(b, bare(broker.hub)) })
	b.Run("server/api", func(b *testing.B) { benchServer(b, broker) })
}

func benchHandler(b *testing.B, handler http.Handler, text string) {
	r := httptest.NewRequest("POST", "/publish", nil)
	r.Header.Set("Content-Type", "application/json")
	body := strings.NewReader("")
	r.Body = io.NopCloser(body)
	b.ReportAllocs()
	for b.Loop() {
		body.Reset(text)
		handler.ServeHTTP(&discard{make(http.Header)}, r)
	}
}

// benchServer has the client's and the kernel's work in it.
func benchServer(b *testing.B, handler http.Handler) {
	server := httptest.NewServer(handler)
	defer server.Close()
	b.ReportAllocs()
	for b.Loop() {
		resp, err := server.Client().Post(server.URL+"/publish", "application/json", strings.NewReader(benchBody))
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(resp, err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}

// BenchmarkWrapper is what every call costs before and after its handler,
// which here does next to nothing.
func BenchmarkWrapper(b *testing.B) {
	broker := production(b)
	for _, c := range [][2]string{{"known path", "/ws/" + nowhere}, {"unknown path", "/nothing"}} {
		b.Run(c[0], func(b *testing.B) {
			r := httptest.NewRequest("GET", c[1], nil)
			b.ReportAllocs()
			for b.Loop() {
				broker.ServeHTTP(&discard{make(http.Header)}, r)
			}
		})
	}
}

// A line of a stream, to a topic without subscribers.
func BenchmarkStream(b *testing.B) {
	broker := newBroker(b, func(h *hub.Options, o *api.Options) { o.MaxMessage, o.MaxBody = 1<<20, 1<<20 })
	line := []byte(`{"topic":"news","message":"` + strings.Repeat("x", 128) + `"}` + "\n")
	b.ReportAllocs()
	b.ResetTimer()
	if got := broker.stream(&repeated{line: line, times: b.N}); got.Accepted != b.N {
		b.Fatalf("%+v", got)
	}
}

// repeated is a line so many times.
type repeated struct {
	line  []byte
	times int
	rest  []byte
}

func (r *repeated) Read(p []byte) (n int, err error) {
	for n < len(p) {
		if len(r.rest) == 0 {
			if r.times == 0 {
				break
			}
			r.times, r.rest = r.times-1, r.line
		}
		k := copy(p[n:], r.rest)
		n, r.rest = n+k, r.rest[k:]
	}
	if n == 0 {
		err = io.EOF
	}
	return n, err
}
