package clients_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"belfry/tests/harness"
)

// Programs that others wrote publish.

func TestCloudEventsSDK(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "cloudevents")
	harness.Npm(t, "ws")
	node := harness.Installed(t, "node")
	b := harness.Start(t)
	s := harness.Meet(t, node, "tests/testdata/clients/cloudevents.js", b.Addr)
	var receipts, events []harness.Said
	for len(receipts) < 5 || len(events) < 4 {
		switch got := s.Next(); {
		case got.Open:
		case got.Ack == 1:
			receipts = append(receipts, got)
		case got.Message != "":
			events = append(events, got)
		default:
			t.Fatalf("the client says %+v", got)
		}
	}
	s.Says(harness.Said{Code: 1005})
	for i, want := range []string{
		`"id":"structured","time":"2026-01-02T03:04:05.678Z","zone":"b","area":7,"value":{"n":1.5,"s":"grüße ` + "\u2028" + `"}`,
		`"id":"text","datacontenttype":"text/plain","value":"a text"`,
		`"id":"bytes","datacontenttype":"application/octet-stream","value":{"base64":"AP8K"}`,
		`"id":"binary","name":"size \"x\"","expirytime":"2099-01-02T03:04:05Z","value":{"n":2}`,
	} {
		var got, expected map[string]any
		if err := json.Unmarshal([]byte(events[i].Message), &got); err != nil {
			t.Fatal(err)
		}
		whole := `{"source":"/shops/7?x=1","type":"com.example.paid","subject":"orders.eu",` + want + `}`
		if err := json.Unmarshal([]byte(whole), &expected); err != nil {
			t.Fatal(err)
		}
		for name, value := range expected {
			if a, b := fmt.Sprint(got[name]), fmt.Sprint(value); a != b {
				t.Errorf("event %d: %s is %s, want %s", i, name, a, b)
			}
		}
		if receipts[i].Cursor != events[i].Cursor || receipts[i].Again {
			t.Errorf("event %d: receipt %+v, sequence %s", i, receipts[i], events[i].Cursor)
		}
	}
	if again := receipts[4]; again.Cursor != receipts[0].Cursor || !again.Again {
		t.Errorf("the repeat of %+v: %+v", receipts[0], again)
	}
}

// numberLines are what streams of numbers have.
const numberLines = 20_000

func TestPythonNDJSON(t *testing.T) {
	t.Parallel()
	python := harness.Installed(t, "python3", "/usr/bin/python3")
	testNumberStream(t, func(b *harness.Broker) *exec.Cmd {
		return exec.Command(python, "tests/testdata/clients/ndjson.py", b.Addr, fmt.Sprint(numberLines))
	})
}

func TestCurlNDJSON(t *testing.T) {
	t.Parallel()
	curl := harness.Installed(t, "curl")
	testNumberStream(t, func(b *harness.Broker) *exec.Cmd {
		cmd := exec.Command(curl, "-sS", "-w", "%{http_code}", "-T", "-", "-X", "POST", "-H", "Content-Type: application/x-ndjson", b.Addr+"/publish")
		var lines bytes.Buffer
		for i := range numberLines {
			fmt.Fprintf(&lines, `{"topic": "numbers", "message": %d}`+"\n", i)
		}
		cmd.Stdin = &lines
		return cmd
	})
}

// testNumberStream runs a program that publishes a stream of numbers. A subscriber
// receives each of them, in order, while the broker retains few of them.
func testNumberStream(t *testing.T, publisher func(*harness.Broker) *exec.Cmd) {
	b := harness.Start(t, "--history-events=100")
	p, _, err := b.Dial("ws://" + b.Addr + "/ws?topic=numbers")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Leave)
	said := make(chan string, 1)
	go func() {
		out, err := publisher(b).Output()
		said <- fmt.Sprint(string(out), err)
	}()
	for i := range numberLines {
		p.Expect(t, fmt.Sprint(i))
		if i%(numberLines/10) == 0 {
			if n := b.Metric(t, "belfry_log_bytes") + b.Metric(t, "belfry_courier_backlog") + b.Metric(t, "belfry_client_queue_bytes"); n > 1<<20 {
				t.Errorf("%v bytes wait", n)
			}
		}
	}
	if got := <-said; !strings.Contains(got, "200") || !strings.Contains(got, fmt.Sprintf(`{"accepted":%d,"rejected":0,`, numberLines)) {
		t.Error(got)
	}
}

// TestNpmPublishV1: a client of belfry.v1 publishes.
func TestNpmPublishV1(t *testing.T) {
	t.Parallel()
	harness.Npm(t, "ws")
	node := harness.Installed(t, "node")
	b := harness.Start(t)
	s := harness.Meet(t, node, "tests/testdata/clients/publish_v1.js", "ws://"+b.Addr+"/ws?topic=cats")
	// Answers come in order, and so do events, each before its receipt. Otherwise an event
	// may come before answers to what was asked earlier.
	events := []string{"event one cats \"purr\"", "event two cats {\"n\":1.0}"}
	for _, answer := range []struct {
		text string
		left int // of the events, at most
	}{
		{"ack 1 one duplicate=false queued=1", 1}, {"ack 2 one duplicate=true queued=1", 1}, {"error 3 idempotency_key_reused", 1},
		{"ack 4 two duplicate=false queued=1", 0}, {"ack 5 three duplicate=false queued=0", 0},
		{"error 6 invalid_topic", 0}, {"error 7 topic_reserved", 0}, {"error 8 invalid_message", 0}, {"error 9 invalid_topic", 0},
		{"error 10 unknown_member", 0}, {"error 11 invalid_id", 0}, {"error 12 invalid_expires_in", 0}, {"pong 13", 0},
	} {
		got := s.Next().Message
		for ; len(events) > 0 && got == events[0]; got = s.Next().Message {
			events = events[1:]
		}
		if got != answer.text || len(events) > answer.left {
			t.Fatalf("the client says %q, want %q; events to come are %q", got, answer.text, events)
		}
	}
	s.Says(harness.Said{Code: 1005})
}
