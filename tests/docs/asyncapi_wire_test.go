package docs_test

import (
	"bufio"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"belfry/tests/harness"
)

// A listener compares what the broker says over connections of a channel with
// what docs/asyncapi.yaml says of it.
type listener struct {
	t       *testing.T
	doc     *spec
	channel string
	may     map[string]node // what the broker may say, by name
	heard   map[string]bool
}

func listen(t *testing.T, channel string) *listener {
	t.Helper()
	l := &listener{t: t, doc: loadAsyncAPI(t), channel: channel, may: make(map[string]node), heard: make(map[string]bool)}
	for _, op := range l.operations() {
		said := op.get("reply", "messages")
		if op.get("action").text() == "send" {
			said = op.get("messages")
		}
		for _, m := range said.list() {
			l.may[nameOf(m)] = m.get("payload")
		}
	}
	return l
}

// operations returns those of the channel.
func (l *listener) operations() (all []node) {
	operations := l.doc.node().get("operations")
	for _, name := range operations.names() {
		op := operations.get(name)
		if strings.HasSuffix(op.get("channel").at, "/"+l.channel) {
			all = append(all, op)
		}
	}
	return all
}

// nameOf returns what a component is called.
func nameOf(n node) string { return n.at[strings.LastIndex(n.at, "/")+1:] }

// hears finds which message this is: exactly one.
func (l *listener) hears(payload any) (name string) {
	l.t.Helper()
	var fits []string
	var problems []error
	for _, candidate := range slices.Sorted(maps.Keys(l.may)) {
		if err := l.may[candidate].admits(payload); err == nil {
			fits = append(fits, candidate)
		} else {
			problems = append(problems, err)
		}
	}
	if len(fits) != 1 {
		l.t.Fatalf("%s: described as %q is %v: %v", l.channel, fits, payload, problems)
	}
	l.heard[fits[0]] = true
	return fits[0]
}

// until listens until one of these messages has come, and returns its name.
func (l *listener) until(w *harness.Wire, names ...string) string {
	l.t.Helper()
	for {
		op, message := w.Frame(l.t)
		if op == harness.Ping {
			continue
		}
		if op != harness.Text {
			l.t.Fatalf("%s: got %#x %q while waiting for %v", l.channel, op, message, names)
		}
		var payload any = message
		if !strings.HasPrefix(l.channel, "bare") {
			payload = parsed(l.t, message)
		}
		if name := l.hears(payload); slices.Contains(names, name) {
			return name
		}
	}
}

func parsed(t *testing.T, text string) any {
	t.Helper()
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return value
}

// done checks that all has come that is described.
func (l *listener) done() {
	l.t.Helper()
	if got, want := slices.Sorted(maps.Keys(l.heard)), slices.Sorted(maps.Keys(l.may)); !slices.Equal(got, want) {
		l.t.Errorf("%s: described is %v, and there was %v", l.channel, want, got)
	}
}

// asks sends each example of what a client may ask for, and waits for the answer
// that is described: done, not refused.
func (l *listener) asks(w *harness.Wire, fill *strings.Replacer) {
	l.t.Helper()
	sent := 0
	for _, op := range l.operations() {
		var answers []string
		for _, m := range op.get("reply", "messages").list() {
			answers = append(answers, nameOf(m))
		}
		if op.get("action").text() != "receive" {
			continue
		}
		for _, m := range op.get("messages").list() {
			for _, example := range m.get("examples").list() {
				sent++
				w.Send(l.t, harness.Say(fill.Replace(string(jsonText(l.t, example.get("payload").value)))))
				if got := l.until(w, answers...); got == "error" {
					l.t.Errorf("%s: the example %s is refused", l.channel, example.at)
				}
			}
		}
	}
	if sent < 5 {
		l.t.Errorf("%s: there are %d examples", l.channel, sent)
	}
}

// TestAsyncAPIV1 has the broker say all that belfry.v1 has words for.
func TestAsyncAPIV1(t *testing.T) {
	t.Parallel()
	flags := []string{"--heartbeat=50ms", "--history-events=2"}
	t.Run("token", func(t *testing.T) {
		t.Parallel()
		b, secret := harness.WithTokens(t, flags...)
		token := harness.NewToken(t, secret, "--user=17", "--subscribe=cats,news,orders.*", "--publish=cats,news,chat", "--expires=50s")
		l := listen(t, "v1")
		w := b.Socket(t, harness.V1Opening("/ws?topic=cats&access_token="+token))
		w.AcceptedV1(t)
		l.until(w, "expiring")
		l.drive(b, w, token)
		l.done()
	})
	t.Run("registered", func(t *testing.T) {
		t.Parallel()
		b := harness.Start(t, flags...)
		l := listen(t, "v1Client")
		w := b.Socket(t, harness.V1Opening(b.Register(t, `{"user_id":17,"topics":["cats"]}`).Path))
		w.AcceptedV1(t)
		l.drive(b, w, "")
		l.done()
	})
}

// drive has all happen to a connection that can happen to one of belfry.v1, of
// user 17. The token is what it began with, or "".
func (l *listener) drive(b *harness.Broker, w *harness.Wire, token string) {
	l.t.Helper()
	header := []string{"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
	if token != "" {
		header = append(header, "Authorization", "Bearer "+token)
	}
	publish := func(topic string) (cursor string) {
		l.t.Helper()
		return harness.Ask[harness.Receipt](l.t, b, "POST", "/publish", `{"topic":"`+topic+`","user_id":17,"message":{"n": 1}}`, header...).Cursor
	}
	first := publish("news")
	publish("cats")
	l.until(w, "event")
	l.asks(w, strings.NewReplacer("TOKEN", token))
	w.Send(l.t, harness.Say(`{"op":"subscribe","topics":["news"],"last":1}`))
	l.until(w, "replayed")
	l.until(w, "live")
	publish("news")
	publish("news")
	w.Send(l.t, harness.Say(`{"op":"subscribe","topics":["news"],"after":"`+first[:12]+`000000000000"}`))
	l.until(w, "gap")
	w.Send(l.t, harness.Say(`{"op":"nonsense","ref":{}}`))
	l.until(w, "error")
	l.until(w, "heartbeat")
	go b.Stop()
	l.until(w, "closing")
	w.Closed(l.t, 1012, "draining")
}

func TestAsyncAPIBare(t *testing.T) {
	t.Parallel()
	for channel, path := range channelPaths("bare", "/ws") {
		b := harness.Start(t)
		l := listen(t, channel)
		w := b.Socket(t, harness.Opening(path(t, b)))
		w.Accepted(t)
		commands := l.doc.node().get("components", "messages")
		w.Send(t, harness.Say(string(jsonText(t, commands.get("bareTopics", "examples").list()[0].get("payload").value))))
		for _, text := range commands.get("barePing", "payload", "enum").texts() {
			w.Send(t, harness.Say(text))
		}
		w.Sync(t)
		b.Publish(t, harness.Event("dogs.small", "one"))
		b.Publish(t, `{"topic":"cats","message":{"n": 1}}`)
		w.Expect(t, "one")
		l.until(w, "bareMessage")
		if ignored := b.Metric(t, "belfry_messages_ignored_total"); ignored != 0 {
			t.Errorf("%v messages were ignored that are described", ignored)
		}
		l.done()
	}
}

// channelPaths are the channels of a protocol, and how to get a path of each.
func channelPaths(protocol, base string) map[string]func(*testing.T, *harness.Broker) string {
	return map[string]func(*testing.T, *harness.Broker) string{
		protocol: func(*testing.T, *harness.Broker) string { return base + "?topic=cats" },
		protocol + "Client": func(t *testing.T, b *harness.Broker) string {
			return base + "/" + b.Register(t, `{"user_id":17,"topics":["cats"]}`).ClientID
		},
	}
}

// withCursor adds a cursor to a path.
func withCursor(path, cursor string) string {
	if strings.Contains(path, "?") {
		return path + "&after=" + cursor
	}
	return path + "?after=" + cursor
}

func TestAsyncAPICloudEvents(t *testing.T) {
	t.Parallel()
	for channel, path := range channelPaths("cloudevents", "/ws") {
		b := harness.Start(t, "--history-events=1")
		first := b.Publish(t, harness.Event("cats", "lost")).Cursor
		b.Publish(t, harness.Event("cats", "kept"))
		l := listen(t, channel)
		w := b.Socket(t, strings.Replace(harness.Opening(withCursor(path(t, b), first[:12]+"000000000000")), "\r\n", "\r\nSec-WebSocket-Protocol: cloudevents.json\r\n", 1))
		res, err := http.ReadResponse(w.Reread(t), nil)
		if err != nil || res.Header.Get("Sec-WebSocket-Protocol") != "cloudevents.json" {
			t.Fatalf("%v, %v", res, err)
		}
		l.until(w, "cloudEventGap")
		l.until(w, "cloudEvent")
		b.Call(t, "POST", "/publish", `{"specversion":"1.0","id":"1","source":"/x","type":"t","subject":"cats","belfryuser":"18","data":1}`,
			"Content-Type", "application/cloudevents+json")
		b.Call(t, "POST", "/publish", `{"specversion":"1.0","id":"2","source":"/x","type":"t","subject":"cats","color":"red","priority":2,"urgent":true,`+
			`"expirytime":"2999-01-01T00:00:00Z","dataschema":"https://x.example/s","datacontenttype":"image/png","data_base64":"AAEC"}`,
			"Content-Type", "application/cloudevents+json", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		l.until(w, "cloudEvent")
		l.done()
	}
}

func TestAsyncAPISSE(t *testing.T) {
	t.Parallel()
	for channel, path := range channelPaths("sse", "/sse") {
		b := harness.Start(t, "--history-events=1", "--heartbeat=50ms")
		first := b.Publish(t, harness.Event("cats", "lost")).Cursor
		b.Publish(t, harness.Event("cats", "of two\nlines"))
		l := listen(t, channel)
		w := b.Socket(t, harness.EventRequest(withCursor(path(t, b), first[:12]+"000000000000")))
		res, err := http.ReadResponse(w.Reread(t), nil)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%v, %v", res, err)
		}
		s := &fieldReader{t: t, in: bufio.NewReader(res.Body)}
		for _, name := range []string{"sseWelcome", "sseGap", "sseMessage", "sseHeartbeat"} {
			l.untilBlock(s, name)
		}
		if s.retry == 0 {
			t.Error("the stream does not say when to come back")
		}
		go b.Stop()
		l.untilBlock(s, "sseClosing")
		l.done()
	}
}

// untilBlock listens to a stream until a message has come.
func (l *listener) untilBlock(s *fieldReader, name string) {
	l.t.Helper()
	for l.hears(s.block()) != name {
	}
}

// A fieldReader reads a stream of server-sent events by its fields, which an
// EventSource hides.
type fieldReader struct {
	t     *testing.T
	in    *bufio.Reader
	retry int // the last one told, in milliseconds
}

// block returns the fields up to the next empty line, with the data of an event
// that has a name as JSON.
func (s *fieldReader) block() map[string]any {
	s.t.Helper()
	fields := make(map[string]any)
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the stream has ended: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch before, again := fields[name].(string); {
		case name == "retry":
			if s.retry, err = strconv.Atoi(value); err != nil {
				s.t.Fatal(err)
			}
		case name == "" && len(fields) > 0:
			data, given := fields["data"].(string)
			if _, named := fields["event"]; named && given {
				fields["data"] = parsed(s.t, data)
			}
			return fields
		case name == "":
		case again:
			fields[name] = before + "\n" + value
		default:
			fields[name] = value
		}
	}
}
