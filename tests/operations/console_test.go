package operations_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/hub"
	"belfry/tests/harness"
)

// hostileText becomes markup wherever it is not escaped.
const hostileText = `<img src=x onerror=alert(1)>`

// A consoleCase is a run of tests/testdata/clients/console.mjs.
type consoleCase struct {
	Base    string   `json:"base"`
	Key     string   `json:"key,omitempty"`
	Wrong   string   `json:"wrong,omitempty"`
	Weak    string   `json:"weak,omitempty"`
	Hostile string   `json:"hostile"` // a topic and a user
	Message string   `json:"message"`
	Handle  string   `json:"handle"` // of a client of both
	Scenes  []string `json:"scenes"`
}

// views are the scenes of what the console asks the broker, and looks those of how it
// shows that.
var (
	views = []string{"overview", "clients", "client", "topics", "tail", "publish", "explain", "config", "disconnect"}
	looks = []string{"keyboard", "parts", "phone", "silence", "theme"}
)

// A console with keys, in a real browser, of a broker under load.
func TestConsoleInChromium(t *testing.T) {
	t.Parallel()
	const ops, weak = "bk_ops", "bk_weak"
	b := harness.StartKeyed(t, "keys:\n"+harness.Entry(ops, "publish, register, subscribe, admin", ">")+harness.Entry(weak, "publish, subscribe", ">"), "--trusted-proxies=127.0.0.1", "--ping-interval=1h")
	bustle(b.Broker, t, ops)
	proxied := b.Socket(t, strings.Replace(harness.Opening("/ws/"+registerAs(b.Broker, t, ops, `{"user_id":"proxied"}`).ClientID), "\r\n", "\r\nX-Forwarded-For: "+hostileText+"\r\n", 1))
	proxied.Accepted(t)
	devour(proxied, t)
	c := consoleCase{Base: b.URL("http", ""), Key: ops, Wrong: "bk_wrong", Weak: weak, Handle: hostile(b.Broker, t, ops)}
	c.Scenes = slices.Concat([]string{"keys", "storage", "addresses"}, looks, views, []string{"forget"})
	c.play(t)
}

// Without keys nobody is asked for one. With an address for operators the console is only
// there.
func TestConsoleOfAnOpenBrokerInChromium(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"at addr": nil, "at admin_addr": {"--admin-addr=127.0.0.1:0"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := harness.Start(t, append(flags, "--ping-interval=1h")...)
			c := consoleCase{Base: b.URL("http", ""), Scenes: views}
			if flags != nil {
				if got := b.Call(t, "GET", "/console", ""); got.Status != 404 {
					t.Errorf("at addr: %d", got.Status)
				}
				c.Base = "http://" + adminAddr(b, t)
			}
			bustle(b, t, "")
			c.Handle = hostile(b, t, "")
			c.play(t)
		})
	}
}

// play runs the scenes one after another.
func (c consoleCase) play(t *testing.T) {
	t.Helper()
	harness.Npm(t, "playwright-core")
	node, browser := harness.Installed(t, "node"), harness.Installed(t, harness.HeadlessChromium...)
	c.Hostile, c.Message = hostileText, hostileText
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	s := harness.Meet(t, node, "tests/testdata/clients/console.mjs", browser, string(text))
	for _, scene := range append(c.Scenes, "faults: ") {
		s.Says(harness.Said{Message: scene})
	}
}

// adminAddr returns where the program listens for operators.
func adminAddr(b *harness.Broker, t *testing.T) (addr string) {
	t.Helper()
	harness.Eventually(t, "it listens for operators", func() bool {
		for _, line := range b.Log() {
			if l := harness.JsonOf[struct{ Msg, Addr string }](line); l.Msg == "listening for operators" {
				addr = l.Addr
			}
		}
		return addr != ""
	})
	return addr
}

func registerAs(b *harness.Broker, t *testing.T, key, body string) harness.Registration {
	t.Helper()
	return harness.Ask[harness.Registration](t, b, "POST", "/register", body, "Authorization", "Bearer "+key)
}

// hostile connects a client whose user and topic are markup, and returns its handle.
func hostile(b *harness.Broker, t *testing.T, key string) string {
	t.Helper()
	text, _ := json.Marshal(hostileText)
	r := registerAs(b, t, key, fmt.Sprintf(`{"user_id":%s,"topics":[%s,"cats"]}`, text, text))
	devour(b.WireV1(t, r.Path), t)
	id, _ := hub.ParseID(r.ClientID)
	return id.Handle().String()
}

// bustle has clients connected and publishes to them until the test ends.
func bustle(b *harness.Broker, t *testing.T, key string) {
	t.Helper()
	for i := range 20 {
		b.Connect(t, registerAs(b, t, key, fmt.Sprintf(`{"user_id":%d,"topics":["cats","dogs.>"]}`, i)))
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ctx.Err() == nil; i++ {
			topic := []string{"cats", "dogs.a", hostileText}[i%3]
			if got, err := b.Do("POST", "/publish", harness.Event(topic, hostileText), "Authorization", "Bearer "+key); err != nil || got.Status != 200 {
				t.Errorf("publish: %v %d %s", err, got.Status, got.Body)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	t.Cleanup(func() { stop(); <-done })
}

// devour reads everything until the test ends.
func devour(w *harness.Wire, t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(io.Discard, w.In) // it ends with the connection
	}()
	t.Cleanup(func() { w.Close(); <-done })
}
