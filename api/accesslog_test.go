package api_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"belfry/api"
	"belfry/hub"
)

func logged(t *testing.T, level zap.AtomicLevel, setups ...setup) (*broker, *observer.ObservedLogs) {
	core, logs := observer.New(level)
	return newBroker(t, append(setups, func(_ *hub.Options, o *api.Options) { o.Log = zap.New(core) })...), logs
}

func TestAccessLog(t *testing.T) {
	t.Parallel()
	b, logs := logged(t, zap.NewAtomicLevelAt(zap.InfoLevel))
	b.call("DELETE", "/register/"+nowhere+"?q=1", "", "X-Request-Id", "me")
	lines := logs.TakeAll()
	if len(lines) != 1 || lines[0].Level != zap.InfoLevel || lines[0].Message != "http 2xx" {
		t.Fatalf("logged %+v", lines)
	}
	got := lines[0].ContextMap()
	if d, ok := got["duration"].(time.Duration); !ok || d <= 0 || d > time.Minute {
		t.Errorf("duration %v", got["duration"])
	}
	delete(got, "duration")
	want := "map[bytes:18 method:DELETE remote:192.0.2.1:1234 request_id:me route:/register/{client_id} status:200]"
	if fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
}

// A flood of requests must not become a flood of lines.
func TestAccessLogIsSampled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, logs := logged(t, zap.NewAtomicLevelAt(zap.InfoLevel), func(_ *hub.Options, o *api.Options) {
			fake(o).accept = func(http.ResponseWriter, *http.Request, hub.Want, error) error { return hub.ErrBusy }
		})
		for second := 1; second <= 2; second++ {
			for range 2010 {
				b.call("GET", "/health", "")
				b.call("GET", "/nothing", "")
			}
			for range 300 {
				b.call("GET", "/ws/"+nowhere, "")
			}
			for message, want := range map[string]int{"http 2xx": 12, "http 4xx": 12, "http 5xx": 102} {
				if n := logs.FilterMessage(message).Len(); n != second*want {
					t.Errorf("second %d: %d lines %s, want %d", second, n, message, second*want)
				}
			}
			time.Sleep(time.Second)
		}
	})
}

// Whatever happens, the log holds no ticket.
func TestLogHoldsNoSecrets(t *testing.T) {
	t.Parallel()
	b, logs := logged(t, zap.NewAtomicLevelAt(zap.DebugLevel), func(_ *hub.Options, o *api.Options) {
		fake(o).accept = func(http.ResponseWriter, *http.Request, hub.Want, error) error { panic("no id in here") }
	})
	id := b.register(`{"user_id":1}`)
	for _, c := range [][3]string{
		{"GET", "/ws/" + id}, {"POST", "/ws/" + id}, {"GET", "/nothing/" + id}, {"DELETE", "/register/" + id},
		{"POST", "/add_topic?topic=a&client_id=" + id}, {"POST", "/add_topic", `{"topic":"a","client_id":"` + id + `"`},
		{id, "/health"}, {"POST", "/publish", `{"` + id + `":1}`},
	} {
		b.call(c[0], c[1], c[2])
	}
	if logs.Len() < 9 {
		t.Errorf("only %d lines were logged", logs.Len())
	}
	for _, line := range logs.All() {
		if text := fmt.Sprint(line.Message, line.ContextMap()); strings.Contains(text, id) {
			t.Errorf("a ticket: %s", text)
		}
	}
}
